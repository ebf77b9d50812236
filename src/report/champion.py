"""The combination chosen by the rule, and what it means to have been chosen among many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.figures.style import records
from src.report.document import Row, estimate
from src.report.reading import Reading

_BEST = """
SELECT l.*, coalesce('ground truth' IN (o.category, i.category), false) AS uses_truth
FROM v_leaderboard l
LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = l.outlier_method
LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = l.imputation_method
WHERE l.brier IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY uses_truth ORDER BY l.rank, l.run_id) = 1
ORDER BY l.rank, l.run_id
"""
_CURSE = "SELECT * FROM winners_curse WHERE metric IN ($metric, 'brier') ORDER BY metric = $metric DESC"
_DETECTABLE = "SELECT * FROM detectable_difference WHERE metric = $metric AND detectable IS NOT NULL"
_UNDECIDED = """
SELECT count(*) FILTER (included) AS included, count(*) AS total FROM confidence_set
WHERE metric = 'brier' HAVING total > 0
"""
_ABOUT_RANKS = (
    "Each interval is that of one combination, not of a difference between two.",
    "All combinations are judged on the same resamples, so their estimates are paired: overlapping intervals "
    "do not mean that two combinations are equal, nor do ranks mean that they differ.",
    "Differences from the champion, their intervals and p values come from subjects and never from "
    "resamples. The champion was chosen on the same subjects, so even the corrected p values flatter it.",
)


def best(reading: Reading) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """The champion by the rule, and the best by it that needs no ground truth, of the whole database."""
    rows = records(reading.query(_BEST))
    practical = [row for row in rows if not row["uses_truth"]]
    return (rows[0] if rows else None), (practical[0] if practical else None)


def about_champion(reading: Reading) -> list[str]:
    """Name the champion by the rule and, where it uses the ground truth, the best that does not."""
    champion, practical = best(reading)
    if champion is None:
        return ["Champion: none, no combination has a Brier score (table essential_metrics)."]
    line = (
        "AUROC alone never picks a winner; the champion has the lowest out-of-bag Brier score (ties: the "
        f"higher AUROC) of the whole database: {reading.name(champion)}: Brier {value(champion, 'brier')}, "
        f"AUROC {value(champion, 'auroc')}. "
    )
    return [line + _practical(reading, champion, practical)]


def _practical(reading: Reading, champion: Row, practical: Row | None) -> str:
    """The best that can be had in practice, said after the champion."""
    if practical is None:
        return "It uses the ground truth, and so does every other combination."
    if not champion["uses_truth"]:
        return "It needs no ground truth."
    return (
        "It uses the ground truth, which cannot be had in practice; the best by the same rule of those that "
        f"need no truth: {reading.name(practical)}: Brier {value(practical, 'brier')}, "
        f"AUROC {value(practical, 'auroc')}."
    )


def value(row: Row, metric: str) -> str:
    """Write an estimate with its sampling interval."""
    return estimate(metric, "").show(row)


def about_choice(reading: Reading) -> list[str]:
    """What it means to have been chosen among many, and what so few subjects can tell apart."""
    return [
        *reading.told("Winner's curse", _curse),
        *reading.told("Detectable difference", _detectable),
        *reading.told("Confidence set", _undecided),
        *reading.told("Comparisons", Reading.about_compared),
        *_ABOUT_RANKS,
    ]


def _curse(reading: Reading) -> list[str]:
    if curse := reading.first(_CURSE, {"metric": reading.question.metric.name}):
        return [
            f"Winner's curse: {reading.metric_name(curse['metric'])} of the best combination is optimistic "
            f"by {round(curse['optimism'], 3) + 0.0:.3f}, chosen on drawn subjects and scored on the others "
            f"({curse['value']:.3f} becomes {curse['corrected']:.3f}; mean out-of-bag predictions, all "
            "combinations, with and without ground truth)."
        ]
    return [
        "The best of many is optimistic (winner's curse): it was chosen for its estimate, luck included.",
        reading.lacking("Winner's curse as a number", "winners_curse", "winner's curse"),
    ]


def _detectable(reading: Reading) -> list[str]:
    if found := reading.first(_DETECTABLE, {"metric": reading.question.metric.name}):
        return [
            f"With {found['n_cases']} cases and {found['n_controls']} controls, two combinations must differ "
            f"by {found['detectable']:.3f} in {reading.metric_name(found['metric'])} for a test to find it "
            f"with a probability of {found['power']:.0%} (two-sided, {found['alpha']:.0%})."
        ]
    return []


def _undecided(reading: Reading) -> list[str]:
    if undecided := reading.first(_UNDECIDED):
        return [
            f"{undecided['included']} of {undecided['total']} combinations cannot be told from the best by "
            "Brier score (model confidence set, 95 %)."
        ]
    return [reading.lacking("Confidence set", "confidence_set", "confidence set")]
