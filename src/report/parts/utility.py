"""Clinical utility: net benefit against treating everybody or nobody."""

from __future__ import annotations

import pandas as pd

from src.report.document import OOB, Column, Part, Table, count, estimate, number, percent, words
from src.report.reading import Reading

TITLE = "Is anybody better off?"
_THRESHOLDS = ("0.05", "0.10", "0.15", "0.20")


def _name(threshold: str) -> str:
    return f"net_benefit_{threshold[2:]}"


_PER_THRESHOLD = ",\n".join(
    f"any_value(d.net_benefit) FILTER (round(d.threshold, 2) = {t}) AS {_name(t)},\n"
    f"any_value(d.advantage) FILTER (round(d.threshold, 2) = {t}) AS advantage_{t[2:]},\n"
    f"any_value(e.sampling_lo) FILTER (round(d.threshold, 2) = {t}) AS {_name(t)}_lo,\n"
    f"any_value(e.sampling_hi) FILTER (round(d.threshold, 2) = {t}) AS {_name(t)}_hi"
    for t in _THRESHOLDS
)
_BENEFIT = f"""
SELECT d.run_id, d.featurization, d.outlier_method, d.imputation_method, d.classifier, {_PER_THRESHOLD}
FROM v_decision d
LEFT JOIN metric_estimates e ON d.population = 'study' AND e.estimator = 'oob' AND e.run_id = d.run_id
     AND e.metric = format('net_benefit_{{:02d}}', round(100 * d.threshold)::INTEGER)
WHERE d.kind = 'combination' AND d.population = $population
      AND round(d.threshold, 2) IN ({", ".join(_THRESHOLDS)})
GROUP BY ALL ORDER BY d.run_id
"""
_SUMMARY = f"""
WITH champion AS (SELECT run_id FROM v_leaderboard WHERE brier IS NOT NULL ORDER BY rank, run_id LIMIT 1)
SELECT d.population,
       CASE d.population WHEN 'study' THEN p.prevalence_study ELSE p.prevalence_population END AS prevalence,
       round(d.threshold, 2) AS threshold, any_value(d.treat_all) AS treat_all,
       any_value(d.net_benefit) FILTER (d.run_id = (SELECT run_id FROM champion)) AS champion,
       any_value(d.net_benefit_pop_unshifted) FILTER (d.run_id = (SELECT run_id FROM champion))
           AS champion_unshifted,
       max(d.net_benefit) AS best, count(*) FILTER (d.advantage > 0) AS useful, count(*) AS combinations
FROM v_decision d CROSS JOIN provenance p
WHERE d.kind = 'combination' AND round(d.threshold, 2) IN ({", ".join(_THRESHOLDS)})
GROUP BY d.population, prevalence, round(d.threshold, 2) ORDER BY d.population DESC, 3
"""
_FIGURES = ("decision_curves",)
_ABOUT = (
    "Net benefit counts true positives per patient, less the false positives weighted by the odds of the "
    "threshold. Treating nobody has 0; a rule is of use where it beats both that and treating everybody.",
    "The study is enriched with cases. At the population's prevalence the probabilities are first moved to "
    "that prevalence, and sensitivity and specificity weighted by it; unmoved, the study's probabilities do "
    "what the table of thresholds shows beside it.",
    "What may be missed to spare one false alarm is a clinical decision: read the threshold that answers it.",
)


def answer(reading: Reading) -> Part:
    """Say whether anybody is better off by following a combination."""
    tables = [_summary(reading), _benefit(reading, "study"), _benefit(reading, "population")]
    lines = list(_ABOUT)
    if not any(len(table.rows) for table in tables):
        lines.append(reading.lacking("Net benefit", "decision_curves"))
    pictures, undrawn = reading.pictures(*_FIGURES)
    filled = [table for table in tables if len(table.rows)]
    return Part("utility", TITLE, [*lines, *undrawn], filled, pictures)


def _summary(reading: Reading) -> Table:
    columns = [
        words("population", "Prevalence of"),
        percent("prevalence", "Prevalence", 2),
        number("threshold", "Threshold", 2),
        number("treat_all", "Treat everybody"),
        number("champion", "Champion"),
        number("champion_unshifted", "Champion, probabilities unmoved"),
        number("best", "Highest"),
        count("useful", "Better than both"),
        count("combinations", "Combinations"),
    ]
    about = f"{OOB} The highest of many is optimistic. Better than both: than treating everybody and nobody."
    rows = reading.query(_SUMMARY)
    return Table("net_benefit", "Thresholds", about, columns, rows, whole=True)


def _benefit(reading: Reading, population: str) -> Table:
    rows = reading.of_combinations(_BENEFIT, {"population": population})
    columns: list[Column] = [*reading.methods]
    for t in _THRESHOLDS:
        columns += [
            estimate(_name(t), f"At {t}"),
            number(f"advantage_{t[2:]}", f"More than default at {t}", 3, "+"),
        ]
    interval = " In brackets: 95 % sampling interval." if population == "study" else " No intervals."
    about = f"{OOB}{interval} Default: treating everybody or nobody, whichever has the higher net benefit."
    title = f"Net benefit at the {population}'s prevalence"
    return Table(f"net_benefit_{population}", title, about, columns, _known(rows))


def _known(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out runs without a value at any of the thresholds."""
    return rows.dropna(subset=[_name(t) for t in _THRESHOLDS], how="all")
