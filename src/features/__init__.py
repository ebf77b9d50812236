"""From a complete pupil signal to one row of named features per recording."""
