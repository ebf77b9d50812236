"""Which combination is best, and how sure that is."""

from __future__ import annotations

from functools import partial

import pandas as pd

from src.figures.style import FACTORS, records
from src.report.champion import about_champion, about_choice, value
from src.report.charts import chart
from src.report.document import (
    OOB,
    Column,
    Part,
    Row,
    Table,
    count,
    estimate,
    number,
    p_value,
    spread,
    verdict,
    words,
)
from src.report.parts.calibration import MEDIANS, narrow_slope
from src.report.ranking import direction
from src.report.reading import TRUTH_MARK, Reading

TITLE = "Which combination is best?"
# What stands beside the metrics of a combination: its place by the rule, whether it is in the confidence set,
# and the difference from the champion.
_BESIDE = """
SELECT r.run_id, l.rank AS place, s.included AS in_confidence_set, c.difference, c.lo AS difference_lo,
       c.hi AS difference_hi, c.p_holm
FROM runs r
LEFT JOIN v_leaderboard l ON l.run_id = r.run_id
LEFT JOIN confidence_set s ON s.run_id = r.run_id AND s.metric = 'brier'
LEFT JOIN pairwise_comparisons c ON c.run_id_a = r.run_id AND c.metric = 'brier' AND c.against = 'champion'
WHERE r.kind = 'combination'
"""
_PAIRS = """
SELECT run_id_a AS run_id, featurization_a AS featurization, outlier_method_a AS outlier_method,
       imputation_method_a AS imputation_method, classifier_a AS classifier, estimate_a, difference, lo, hi,
       p, p_holm, p_bh, refit_lo, refit_hi, test, reason
FROM v_pairs WHERE against = 'champion' AND metric = $metric
"""
_BASELINES = "SELECT * FROM v_baseline WHERE part = 'baseline' ORDER BY brier NULLS LAST, run_id"
# Runs that stayed out have no kind and names are for people: which one was the baseline is theirs to see.
_LEFT_OUT = """
SELECT DISTINCT run_name, reason, detail FROM excluded_runs
WHERE reason IN ('failed', 'unfinished', 'rejected')
  AND run_id NOT IN (SELECT run_id FROM coverage WHERE run_id IS NOT NULL)
ORDER BY run_name, reason, detail
"""
_FIGURES = ("forest_outlier", "forest_classifier", "confidence_set", "specification_curve_brier", "roc")
_RUNS_NAMED = 4
_ABOUT_INTERVALS = (
    "Estimates are out-of-bag means; in brackets the 95 % sampling interval, what another sample of patients "
    "would give. The spread over refits is instability of the model and no confidence interval."
)
_ABOUT_TUNED = (
    "Tuned classifiers are optimistic: their hyper-parameters were chosen once, on all labelled subjects, "
    "those that the resamples leave out too. No estimate here corrects that."
)


def answer(reading: Reading) -> Part:
    """Say which combination is best by the rule, by the metric asked for, and what speaks against it."""
    title = f"Ranking by {reading.question.metric.display_name} ({direction(reading.question.metric)})"
    if not reading.ranking.metrics:
        nothing = reading.lacking("Ranking", "metric_estimates (estimator oob, of a run in runs)")
        return Part("leaderboard", TITLE, [nothing, *reading.told("Age only", _age_only)])
    none: tuple[list[Table], list[str]] = ([], [])
    (against, missing), no_pairs = reading.unless_gone("Against the champion", _against_champion, none)
    baselines, no_baselines = reading.unless_gone("Baselines", _baselines, none[0])
    beside, no_place = reading.unless_gone("Place by the rule", _beside, reading.ranking.table[["run_id"]])
    tables = [_leaderboard(reading, title, beside), *baselines, *against, all_metrics(reading)]
    pictures, undrawn = reading.pictures(*_FIGURES)
    return Part(
        name="leaderboard",
        title=TITLE,
        lines=[*notes(reading), *missing, *no_pairs, *no_baselines, *no_place, *undrawn],
        tables=tables,
        pictures=[chart(reading, reading.question.metric, OOB), *pictures],
        below=cautions(reading),
    )


def notes(reading: Reading) -> list[str]:
    """Everything a reader must know before believing the ranking, most important first."""
    table = reading.ranking.table
    champion = reading.told("Champion", about_champion)
    lines = [*champion, _ABOUT_INTERVALS, *narrow_slope(reading), *reading.told("Age only", _age_only)]
    if unusable := int(table["n_unusable"].fillna(0).max()):
        lines.append(
            f"Up to {unusable} recordings had no observed sample and got the mean curve (column n_unusable)."
        )
    return lines + reading.told("Identical predictions", _identical)


IDENTICAL = """
SELECT a.featurization AS a_featurization, a.outlier_method AS a_outlier_method,
       a.imputation_method AS a_imputation_method, a.classifier AS a_classifier,
       b.featurization AS b_featurization, b.outlier_method AS b_outlier_method,
       b.imputation_method AS b_imputation_method, b.classifier AS b_classifier
FROM identical_predictions i JOIN runs a ON a.run_id = i.run_id_a JOIN runs b ON b.run_id = i.run_id_b
ORDER BY i.run_id_a, i.run_id_b
"""


def cautions(reading: Reading) -> list[str]:
    """What the ranking does not say, to stand below it."""
    lines = []
    if reading.ranking.table["uses_truth"].any():
        lines.append(f"Rank with {TRUTH_MARK}: uses the ground truth; cannot be had in practice.")
    return [*lines, *about_runs(reading), *about_choice(reading), MEDIANS]


def all_metrics(reading: Reading) -> Table:
    """Every metric of every combination, in the order of the methods."""
    columns = [*(reading.method(name) for name in reading.factors)]
    for metric in reading.ranking.metrics:
        columns.append(number(metric.name, metric.display_name))
        if _has(reading, median := f"{metric.name}_median") and metric.target is not None:
            columns.append(number(median, f"{metric.display_name} (median)"))
    rows = reading.ranking.table.sort_values(reading.factors)
    return Table("all_metrics", "All metrics", OOB, columns, rows, in_csv=len(rows))


def _has(reading: Reading, column: str) -> bool:
    table = reading.ranking.table
    return column in table and bool(table[column].notna().any())


def _beside(reading: Reading) -> pd.DataFrame:
    return reading.query(_BESIDE)


def _leaderboard(reading: Reading, title: str, beside: pd.DataFrame) -> Table:
    rows = reading.ranking.table.merge(beside, on="run_id", how="left")
    rows = pd.concat([_as_rows(reading), rows], ignore_index=True)
    columns = [
        Column("rank", "Rank", partial(_rank, reading), ("uses_truth",)),
        *(reading.method(name) for name in reading.factors),
        *_metric_columns(reading),
        *(spread(f"{name}_refit_lo", f"{name}_refit_hi", f"{head}, spread over refits")
          for name, head in (("auroc", "AUROC"), ("brier", "Brier")) if f"{name}_refit_lo" in rows),
        count("place", "Place by the rule"),
        verdict("in_confidence_set", "In the confidence set"),
        estimate("difference", "Brier less the champion's [95 %]", 4, "+"),
        p_value("p_holm", "p (Holm)"),
    ]  # fmt: skip
    about = (
        f"{OOB} In brackets: 95 % sampling interval. Spread over refits: 2.5 to 97.5 percentile over the "
        "resamples, no confidence interval. Rule: lowest Brier score, ties by AUROC. Confidence set: by "
        "Brier score, 95 %. Baselines stand first, without a rank."
    )
    return Table("ranking", title, about, columns, rows, in_csv=len(reading.ranking.table))


def _as_rows(reading: Reading) -> pd.DataFrame:
    """The baselines as rows of the ranking, without a rank; nothing where there are none."""
    rows = reading.ranking.baseline.assign(uses_truth=False, baseline=True)
    return rows.dropna(axis="columns", how="all")


def _metric_columns(reading: Reading) -> list[Column]:
    """The metric ranked by and those always beside it, each with the median where its mean is not robust."""
    question = reading.question
    known = {metric.name: metric for metric in reading.ranking.metrics}
    shown = dict.fromkeys([question.metric.name, *question.about.beside])
    columns = []
    for metric in (known[name] for name in shown if name in known):
        columns.append(estimate(metric.name, metric.display_name))
        if _has(reading, median := f"{metric.name}_median") and metric.target is not None:
            columns.append(number(median, f"{metric.display_name} (median)"))
    return columns


def _rank(reading: Reading, row: Row) -> str:
    if row.get("baseline") is True:
        return _features(reading, row).lower()
    rank: str = "-" if pd.isna(row["rank"]) else f"{row['rank']:.0f}"
    return rank + (TRUTH_MARK if row["uses_truth"] else "")


def _baselines(reading: Reading) -> list[Table]:
    rows = reading.query(_BASELINES)
    columns = [
        reading.method("featurization"),
        *(reading.method(name) for name in FACTORS.values() if name != "featurization"),
        estimate("auroc", "AUROC"),
        estimate("auroc_difference", "AUROC less the champion's", 3, "+"),
        estimate("brier", "Brier score"),
        estimate("brier_difference", "Brier less the champion's", 3, "+"),
        words("reason", "Why not"),
    ]
    about = f"{OOB} In brackets: 95 % sampling interval, of the differences by subject."
    title = "What age achieves alone and beside the features"
    return [Table("baselines", title, about, columns, rows, whole=True)] if len(rows) else []


def _against_champion(reading: Reading) -> tuple[list[Table], list[str]]:
    """Differences from the champion, a table per metric; beside them why there is none."""
    tables, missing = [], []
    for metric in dict.fromkeys([reading.question.metric.name, "brier"]):
        rows = reading.of_combinations(_PAIRS, {"metric": metric})
        name = reading.metric_name(metric)
        if rows.empty:
            missing.append(
                reading.lacking(f"{name} against the champion", "pairwise_comparisons", "against champion")
            )
        else:
            tables.append(_pairs(reading, metric, name, rows))
    return tables, missing


def _pairs(reading: Reading, metric: str, name: str, rows: pd.DataFrame) -> Table:
    columns = [
        *reading.methods,
        number("estimate_a", name),
        estimate("difference", "Difference [95 %]", 4, "+", ("lo", "hi")),
        p_value("p", "p"),
        p_value("p_holm", "p (Holm)"),
        p_value("p_bh", "p (BH)"),
        spread("refit_lo", "refit_hi", "Difference, spread over refits"),
        words("test", "Test"),
    ]
    about = (
        "Differences of oob estimates, paired by subject, with 95 % sampling interval; p values from "
        "subjects, Holm and Benjamini-Hochberg over the combinations. Spread over refits: no confidence "
        "interval."
    )
    return Table(
        f"against_champion_{metric}", f"{name}: each combination less the champion", about, columns, rows
    )


def about_runs(reading: Reading) -> list[str]:
    """What single runs say of themselves."""
    table = reading.ranking.table
    lines = [_ABOUT_TUNED] if table["tuned"].notna().any() else []
    caveats = table.dropna(subset="caveat")[["classifier", "caveat"]].drop_duplicates()
    lines += [f"{row.classifier}: {row.caveat}." for row in caveats.itertuples()]
    weights = sorted(set(table["unpublished_weights"].dropna()))
    return lines + [f"Not the published weights: {'; '.join(weights)}." for _ in weights[:1]]


def _age_only(reading: Reading) -> list[str]:
    if not reading.ranking.baseline.empty:
        return [_baseline_line(reading, row) for row in records(reading.ranking.baseline)]
    line = "Age only: no age-only baseline in this database."
    runs = [
        f"{row['run_name']} ({row['reason']}: {row['detail']})" for row in records(reading.query(_LEFT_OUT))
    ]
    if runs:
        more = [f"and {len(runs) - _RUNS_NAMED} more"] if len(runs) > _RUNS_NAMED else []
        line += f" Runs that failed or were left out: {'; '.join(runs[:_RUNS_NAMED] + more)}."
    return [line]


def _baseline_line(reading: Reading, row: Row) -> str:
    if pd.isna(row.get("auroc")):
        return f"{_features(reading, row)}: no value ({row['reason']})."
    names = [reading.method(name).show(row) for name in reading.factors if name != "featurization"]
    methods = " + ".join(name for name in names if name != "-")
    return f"{_features(reading, row)} ({methods}): AUROC {value(row, 'auroc')}, Brier {value(row, 'brier')}."


def _features(reading: Reading, row: Row) -> str:
    return reading.background.label("features", row["featurization"])


def _identical(reading: Reading) -> list[str]:
    return [_warning(reading, row) for row in records(reading.query(IDENTICAL))]


def _warning(reading: Reading, row: Row) -> str:
    pair = [
        reading.background.combination({column: row[f"{side}_{column}"] for column in FACTORS.values()})
        for side in ("a", "b")
    ]
    return f"WARNING: identical predictions, to the last bit: {pair[0]} and {pair[1]}."
