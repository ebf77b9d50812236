"""What the figures that compare methods have in common: the words for factors, metrics and refusals."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.lines import Line2D

from src.figures.style import Background, records
from src.registry import FACTORS

STAGES = {factor: stage for stage, factor in FACTORS.items()}
"""Name of a factor -> stage of its methods."""

TITLES = {
    "featurization": "Feature set",
    "outlier_method": "Outlier method",
    "imputation_method": "Imputation method",
    "classifier": "Classifier",
}
"""Name of a factor -> words for it."""

FACTOR_ORDER = f"list_position({list(FACTORS.values())}, factor)"
"""SQL: place of the column `factor` in the order of the stages; 0 for what is no factor."""

AGE_ALONE = """
SELECT run_id, classifier, auroc, brier FROM baseline_metrics
WHERE brier IS NOT NULL AND outlier_method = 'none' ORDER BY brier, auroc DESC LIMIT 1
"""
"""The best model that knows nothing but age."""

FEATURE_SETS = """
sizes AS (
    SELECT e.featurization, count(*) AS n_combinations, any_value(m.sort_order) AS sort_order
    FROM essential_metrics e LEFT JOIN methods m ON m.stage = 'features' AND m.name = e.featurization
    WHERE e.featurization IN (SELECT featurization FROM {table})
    GROUP BY e.featurization
),
feature_sets AS (
    SELECT featurization, row_number() OVER (ORDER BY n_combinations DESC, sort_order, featurization) AS place
    FROM sizes QUALIFY place <= 2
)"""
"""Common table expressions; `feature_sets` has the two with the most combinations of those in a table."""

TWO_SHOWN = "Of more than two feature sets the two with the most combinations are shown."
"""What a caption says of the rule of `FEATURE_SETS`."""

REFUSED = """
SELECT r.featurization, r.factor, r.reason, string_agg(m.display_name, ', ' ORDER BY r.metric) AS metrics
FROM refusals r JOIN metrics m ON m.name = r.metric
WHERE r.comparison = '{comparison}' AND r.metric IN ({metrics}) GROUP BY ALL ORDER BY ALL
"""
"""What of a comparison was not made, one row per reason; `metrics` are quoted."""

_NOTE_LETTERS, _NOTES = 125, 4


def p_words(p: float) -> str:
    """Write a p value the usual way."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def of_feature_set(title: str, featurization: str, background: Background) -> str:
    """Add the feature set to a panel's title where there is more than one."""
    if len(set(background.coverage["featurization"])) == 1:
        return title
    return f"{title}, {background.label('features', featurization)}"


def refusal_notes(refused: pd.DataFrame, background: Background) -> list[Line2D]:
    """Entries of a legend that say what was refused, each cut to one line."""
    notes = [_note(row, background) for row in records(refused)]
    if len(notes) > _NOTES:
        notes[_NOTES - 1 :] = [f"and {len(notes) - _NOTES + 1} more refused; all are in the table refusals"]
    return [Line2D([], [], linewidth=0, label=note) for note in notes]


def _note(row: dict, background: Background) -> str:
    what = of_feature_set(TITLES.get(row["factor"], "all factors"), row["featurization"], background)
    words = f"Refused: {row['metrics']}, {what}: {row['reason']}"
    return textwrap.shorten(words, _NOTE_LETTERS, placeholder=" …")
