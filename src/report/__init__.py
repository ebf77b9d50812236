"""The benchmark report: what ran, how it ranks, and what to think of it."""
