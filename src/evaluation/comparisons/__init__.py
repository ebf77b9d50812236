"""Comparisons of combinations that share their resamples: plain arrays in, tables of columns out.

Iterations are not observations: every standard error and p value here comes from subjects. The champion is,
everywhere, the combination with the lowest `oob` Brier score, ties by AUROC.
"""

from src.evaluation.comparisons.combinations import Combinations, champion
from src.evaluation.comparisons.compare import compare_all
from src.evaluation.comparisons.pairs import paired_delong, paired_influence
from src.evaluation.comparisons.tables import SCHEMA
from src.evaluation.influence import delong_influence

__all__ = [
    "SCHEMA",
    "Combinations",
    "champion",
    "compare_all",
    "delong_influence",
    "paired_delong",
    "paired_influence",
]
