"""What may be wrong with an installation, its store and its files, and how to mend it."""
