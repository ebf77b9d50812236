"""The parts of a report: one question each, with its queries, its sentences and its tables."""
