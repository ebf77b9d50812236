"""Recordings of a study and where they come from."""

from src.cohort.cohort import ARTEFACT_TYPES, Cohort, CohortError

__all__ = ["ARTEFACT_TYPES", "Cohort", "CohortError"]
