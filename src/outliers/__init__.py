"""Which samples of a recording are artefact, not pupil."""
