"""From finished runs to one database, and the one way to open it."""
