"""Every number of the report, cell by cell, against SQL written without the report's queries."""

from __future__ import annotations

import functools
import re

import pandas as pd
import pytest
from asked import answer, changed, select

from src.figures.style import journal_style

# What would look the same if it were confused with its neighbour is set apart; what is refused, filled in.
APART = (
    """INSERT INTO coverage SELECT DISTINCT featurization, outlier_method, imputation_method, 'Later',
       'missing', NULL, NULL, 'not started', false FROM coverage WHERE imputation_method <> 'linear'""",
    "UPDATE outlier_quality SET fp = fp + 7, tn = tn - 7 WHERE outlier_method <> 'pupil-gt'",
    """UPDATE outlier_quality SET "precision" = tp / (tp + fp), fpr = fp / (fp + tn),
       f1 = 2 * tp / (2 * tp + fp + fn), f1_random = 0.1 + duration_s / 100 WHERE artefact_type = 'all'""",
    "UPDATE imputation_quality SET n_samples = 4000 + rowid",
    """INSERT INTO method_effects SELECT metric, 'simple', stage || '_method', name, n / 100 - 0.03, 0.005,
       n / 100 - 0.05, n / 100 + 0.04, n / 90, n / 30, n / 60, n, if(n = 3, 'no cells', NULL)
       FROM (SELECT *, row_number() OVER (ORDER BY metric, stage, name) AS n
             FROM methods, (VALUES ('auroc'), ('brier')) m(metric)
             WHERE stage IN ('outlier', 'imputation'))""",
    """INSERT INTO critical_differences SELECT metric, featurization, factor, method, n_cells + 0.25,
       10 + n_cells, 4, 1.0, 0.5 + n_cells / 50, 2.0 + n_cells / 7, 't' FROM method_effects""",
    """INSERT INTO variance_decomposition SELECT 'brier', 'simple', f, n, n + 1, n / 10, n / 20
       FROM (VALUES ('outlier_method', 2), ('classifier', 5), ('residual', 3)) v(f, n)""",
    "INSERT INTO excluded_runs VALUES ('x', 'old', 'baseline', 'failed', 'no memory')",
    "INSERT INTO excluded_runs SELECT 'y' || i, 'o', NULL, 'superseded', 'newer' FROM range(3) t(i)",
)


def metric(name, column="estimate", run="r.run_id", estimator="oob"):
    """One value of a run from the table of estimates."""
    return (
        f"(SELECT {column} FROM metric_estimates e WHERE e.run_id = {run} AND e.metric = '{name}' "
        f"AND e.estimator = '{estimator}')"
    )


def bracketed(name, estimator="oob"):
    columns = ("estimate", "sampling_lo", "sampling_hi")
    return ", ".join(metric(name, column, estimator=estimator) for column in columns)


def refits(name):
    return ", ".join(metric(name, column) for column in ("refit_lo", "refit_hi"))


def shown(stage, column):
    """Display name of a method; a dash for none."""
    found = f"(SELECT display_name FROM methods m WHERE m.stage = {stage} AND m.name = {column})"
    return f"if({column} = 'none', '-', coalesce({found}, {column}))"


STAGE_OF = "replace(replace(factor, '_method', ''), 'featurization', 'features')"
FACTOR = """CASE factor WHEN 'outlier_method' THEN 'Outlier method' WHEN 'imputation_method' THEN 'Imputation'
            WHEN 'classifier' THEN 'Classifier' ELSE factor END"""
METRIC = "(SELECT display_name FROM metrics m WHERE m.name = t.metric)"
OUTLIER, IMPUTATION, CLASSIFIER, FEATURES = (
    shown(f"'{stage}'", column)
    for stage, column in (
        ("outlier", "outlier_method"),
        ("imputation", "imputation_method"),
        ("classifier", "classifier"),
        ("features", "featurization"),
    )
)
CELL = {"Outlier method": OUTLIER, "Imputation": IMPUTATION, "Classifier": CLASSIFIER}
CHAMPION = f"""(SELECT run_id FROM runs c WHERE kind = 'combination'
               ORDER BY {metric("brier", run="c.run_id")}, c.run_id LIMIT 1)"""
COMBINATIONS = "runs r WHERE kind = 'combination'"
TRUTH = "if('pupil-gt' IN (outlier_method, imputation_method), '*', '')"


def against(column, name="brier"):
    """A column of the comparison of a run with the champion."""
    return (
        f"(SELECT {column} FROM pairwise_comparisons p WHERE p.run_id_a = r.run_id "
        f"AND p.against = 'champion' AND p.metric = '{name}')"
    )


def place(name, order):
    """The rank of a combination by one metric."""
    better = metric(name, run="o.run_id")
    return f"""1 + (SELECT count(*) FROM runs o WHERE o.kind = 'combination'
                    AND {better} {order} {metric(name)})"""


def less_champion(name):
    """A baseline less the champion, with the interval from the influences of the subjects."""
    difference = f"{metric(name)} - {metric(name, run=CHAMPION)}"
    se = f"""(SELECT sqrt(sum(n * v)) / sum(n) FROM (
        SELECT count(*) AS n, var_samp(b.influence - c.influence) AS v
        FROM subject_influence b
        JOIN subject_influence c ON c.subject_code = b.subject_code AND c.metric = b.metric
        JOIN (SELECT DISTINCT subject_code, y FROM predictions) s ON s.subject_code = b.subject_code
        WHERE b.metric = '{name}' AND b.run_id = r.run_id AND c.run_id = {CHAMPION} GROUP BY s.y))"""
    return f"{difference}, {difference} - 1.96 * {se}, {difference} + 1.96 * {se}"


def benefit(t, population):
    """Net benefit of a run at a threshold; with its interval for the study's prevalence."""
    value = at(t, population, "net_benefit")
    if population == "population":
        return value
    name = f"net_benefit_{t[2:]}"
    return f"{value}, {metric(name, 'sampling_lo')}, {metric(name, 'sampling_hi')}"


def at(t, population, column):
    return f"""(SELECT {column} FROM decision_curves d WHERE d.run_id = r.run_id AND d.estimator = 'oob'
                AND d.population = '{population}' AND abs(d.threshold - {t}) < 1e-6)"""


def of_champion(column):
    return f"max({column}) FILTER (run_id = {CHAMPION})"


THRESHOLDS = ("0.05", "0.10", "0.15", "0.20")
CURVES = """(SELECT d.*, round(threshold, 2) AS t FROM decision_curves d JOIN runs r USING (run_id)
    WHERE r.kind = 'combination' AND estimator = 'oob' AND round(threshold, 2) IN (.05, .1, .15, .2)) q
    GROUP BY population, t"""
PLAN = """(SELECT 'features' AS stage, featurization AS method, status FROM coverage
    UNION ALL SELECT 'outlier', outlier_method, status FROM coverage
    UNION ALL SELECT 'imputation', imputation_method, status FROM coverage
    UNION ALL SELECT 'classifier', classifier, status FROM coverage) t GROUP BY stage, method"""
TIMES = """(SELECT 'outlier' AS stage, outlier_method AS method, duration_s AS s FROM outlier_quality
    WHERE artefact_type = 'all'
    UNION ALL SELECT 'imputation', imputation_method, duration_s FROM imputation_quality WHERE gap = 'all'
    UNION ALL SELECT 'classifier', classifier, fit_seconds FROM runs WHERE kind = 'combination') t
    GROUP BY stage, method"""
DETECTED = "outlier_quality t WHERE artefact_type = 'all'"
F1, PRECISION, RECALL, FPR = (
    "2 * tp / (2 * tp + fp + fn)",
    "tp / (tp + fp)",
    "tp / (tp + fn)",
    "fp / (fp + tn)",
)
HIPPUS = "(SELECT n_flagged / n_samples FROM hippus_probe h WHERE h.outlier_method = t.outlier_method)"


def duration(table, where):
    return f"(SELECT duration_s FROM {table} t WHERE t.outlier_method = r.outlier_method AND {where})"


def pairs(name, head):
    source = f"""runs r JOIN pairwise_comparisons p ON p.run_id_a = r.run_id
                 WHERE p.against = 'champion' AND p.metric = '{name}'"""
    columns = {
        head: (".3f", metric(name)),
        "Difference [95 %]": ("+.4f", "difference, lo, hi"),
        "p": ("p", "p"),
        "p (Holm)": ("p", "p_holm"),
        "p (BH)": ("p", "p_bh"),
        "Difference, spread over refits": ("to", "refit_lo, refit_hi"),
        "Test": ("s", "test"),
    }
    return CELL, source, columns


def net_benefit(population):
    columns = {}
    for t in THRESHOLDS:
        columns[f"At {t}"] = (".3f", benefit(t, population))
        gain = at(t, population, "net_benefit - greatest(treat_all, 0)")
        columns[f"More than default at {t}"] = ("+.3f", gain)
    return CELL, COMBINATIONS, columns


ALL = {
    "AUROC": "auroc",
    "Brier score": "brier",
    "Scaled Brier (IPA)": "brier_scaled",
    "Calibration in the large": "cal_intercept",
    "Calibration slope": "cal_slope",
    "Calibration intercept (joint)": "cal_intercept_joint",
    "O:E ratio": "oe_ratio",
    "AUPRC": "auprc",
} | {f"Net benefit at {t}": f"net_benefit_{t[2:]}" for t in THRESHOLDS}
MEDIANS = ("cal_intercept", "cal_slope", "cal_intercept_joint", "oe_ratio")

# (stage, part, title of the table) -> (heads that name a row, with SQL; where rows are; the other columns)
TABLES = {
    ("classification", "leaderboard", "Ranking by AUROC (higher is better)"): (
        {"Rank": f"if(kind = 'baseline', lower({FEATURES}), '')"} | CELL,
        "runs r",
        {
            "Rank": (
                "s",
                f"if(kind = 'baseline', lower({FEATURES}), ({place('auroc', '>')}) || {TRUTH})",
            ),
            "AUROC": (".3f", bracketed("auroc")),
            "Brier score": (".3f", bracketed("brier")),
            "Calibration slope": (".3f", bracketed("cal_slope")),
            "Calibration slope (median)": (".3f", metric("cal_slope", "estimate_median")),
            "AUROC, spread over refits": ("to", refits("auroc")),
            "Brier, spread over refits": ("to", refits("brier")),
            "Place by the rule": (".0f", f"if(kind = 'combination', {place('brier', '<')}, NULL)"),
            "In the confidence set": (
                "s",
                """(SELECT if(included, 'yes', 'no') FROM confidence_set s
                    WHERE s.run_id = r.run_id AND s.metric = 'brier')""",
            ),
            "Brier less the champion's [95 %]": (
                "+.4f",
                ", ".join(against(column) for column in ("difference", "lo", "hi")),
            ),
            "p (Holm)": ("p", against("p_holm")),
        },
    ),
    ("classification", "leaderboard", "What age achieves alone and beside the features"): (
        {"Features": FEATURES},
        "runs r WHERE kind = 'baseline'",
        {
            "Outlier method": ("s", OUTLIER),
            "Imputation": ("s", IMPUTATION),
            "Classifier": ("s", CLASSIFIER),
            "AUROC": (".3f", bracketed("auroc")),
            "AUROC less the champion's": ("+.3f", less_champion("auroc")),
            "Brier score": (".3f", bracketed("brier")),
            "Brier less the champion's": ("+.3f", less_champion("brier")),
            "Why not": ("s", "NULL"),
        },
    ),
    ("classification", "leaderboard", "AUROC: each combination less the champion"): pairs("auroc", "AUROC"),
    ("classification", "leaderboard", "Brier score: each combination less the champion"): pairs(
        "brier", "Brier score"
    ),
    ("classification", "leaderboard", "All metrics"): (
        CELL,
        COMBINATIONS,
        {head: (".3f", metric(name)) for head, name in ALL.items()}
        | {
            f"{head} (median)": (".3f", metric(name, "estimate_median"))
            for head, name in ALL.items()
            if name in MEDIANS
        },
    ),
    ("classification", "calibration", "Calibration of single models"): (
        CELL,
        COMBINATIONS,
        {
            "Calibration in the large [95 %]": (".3f", bracketed("cal_intercept")),
            "Slope [95 %]": (".3f", bracketed("cal_slope")),
            "Slope (median)": (".3f", metric("cal_slope", "estimate_median")),
            "Joint intercept": (".3f", metric("cal_intercept_joint")),
            "Joint intercept (median)": (".3f", metric("cal_intercept_joint", "estimate_median")),
            "O:E ratio [95 %]": (".3f", bracketed("oe_ratio")),
            "O:E ratio (median)": (".3f", metric("oe_ratio", "estimate_median")),
        },
    ),
    ("classification", "calibration", "Distance of the smoothed curve from the diagonal"): (
        CELL,
        COMBINATIONS,
        {
            head: (".3f", metric(name, estimator="oob_pooled"))
            for head, name in (
                ("ICI", "ici"),
                ("E50", "e50"),
                ("E90", "e90"),
                ("Emax", "emax"),
                ("ECE (10 bins)", "ece10"),
            )
        }
        | {
            "Slope [95 %]": (".3f", bracketed("cal_slope", "oob_pooled")),
            "O:E ratio [95 %]": (".3f", bracketed("oe_ratio", "oob_pooled")),
        },
    ),
    ("classification", "utility", "Thresholds"): (
        {"Prevalence of": "population", "Threshold": "format('{:.2f}', t)"},
        CURVES,
        {
            "Prevalence": (
                ".2%",
                """(SELECT if(q.population = 'study', n_cases / (n_cases + n_controls), prevalence_population)
                    FROM provenance)""",
            ),
            "Treat everybody": (".3f", "max(treat_all)"),
            "Champion": (".3f", of_champion("net_benefit")),
            "Champion, probabilities unmoved": (".3f", of_champion("net_benefit_pop_unshifted")),
            "Highest": (".3f", "max(net_benefit)"),
            "Better than both": (".0f", "count(*) FILTER (net_benefit > treat_all AND net_benefit > 0)"),
            "Combinations": (".0f", "count(DISTINCT run_id)"),
        },
    ),
    ("classification", "utility", "Net benefit at the study's prevalence"): net_benefit("study"),
    ("classification", "utility", "Net benefit at the population's prevalence"): net_benefit("population"),
    ("classification", "stability", "Scatter of the models of each combination"): (
        CELL,
        "instability_summary t JOIN runs r ON r.run_id = t.run_id WHERE kind = 'combination'",
        {
            "Mean difference": (".3f", "mape_mean"),
            "Largest": (".3f", "mape_max"),
            "AUROC, spread over refits": ("to", "auroc_lo, auroc_hi"),
            "Brier, spread over refits": ("to", "brier_lo, brier_hi"),
            "Slope, spread over refits": ("to", "cal_slope_lo, cal_slope_hi"),
        }
        | {f"Flips at 0.{t}": (".1%", f"flip_rate_{t}_mean") for t in ("05", "10", "15", "20", "50")},
    ),
    ("classification", "stability", "Spread over refits beside the sampling interval"): (
        CELL,
        COMBINATIONS,
        {
            "Width of the spread over refits": (
                ".3f",
                f"{metric('auroc', 'refit_hi')} - {metric('auroc', 'refit_lo')}",
            ),
            "Width of the sampling interval": (
                ".3f",
                f"{metric('auroc', 'sampling_hi')} - {metric('auroc', 'sampling_lo')}",
            ),
        },
    ),
    ("classification", "effects", "Effect of each cleaning method against the ground truth"): (
        {"Metric": METRIC, "Factor": FACTOR, "Method": shown(STAGE_OF, "method")},
        "method_effects t",
        {
            "Effect [95 %]": ("+.4f", "effect, lo, hi"),
            "p": ("p", "p"),
            "p (Holm)": ("p", "p_holm"),
            "p (BH)": ("p", "p_bh"),
            "Cells": (".0f", "n_cells"),
            "Why not": ("s", "reason"),
        },
    ),
    ("classification", "effects", "Share of the scatter between cells that each factor explains"): (
        {"Metric": METRIC, "Factor": FACTOR},
        "variance_decomposition t",
        {
            "Eta squared": (".3f", "eta_squared"),
            "Share of the scatter": (".1%", "eta_squared"),
            "Partial eta squared": (".3f", "partial_eta_squared"),
            "Degrees of freedom": (".0f", "df"),
        },
    ),
    ("classification", "effects", "Mean rank of each method over the cells of the other factors"): (
        {"Metric": METRIC, "Factor": FACTOR, "Method": shown(STAGE_OF, "method")},
        "critical_differences t",
        {
            "Mean rank": (".2f", "mean_rank"),
            "Critical difference": (".2f", "critical_difference"),
            "Blocks": (".0f", "n_blocks"),
            "p (Friedman)": ("p", "friedman_p"),
        },
    ),
    ("classification", "cleaning", "Detectors"): (
        {"Outlier method": OUTLIER},
        DETECTED,
        {
            "F1": (".3f", F1),
            "F1 of chance": (".3f", "f1_random"),
            "Better than chance": ("s", f"if({F1} > f1_random, 'pass', 'fail')"),
            "Flagged of hippus": (".2%", HIPPUS),
            "Below 2 %": ("s", f"if({HIPPUS} < 0.02, 'pass', 'fail')"),
            "Precision": (".3f", PRECISION),
            "Recall": (".3f", RECALL),
            "False positive rate": (".4f", FPR),
            "Judged on": ("s", "evaluated_on"),
        },
    ),
    ("classification", "cleaning", "What each detector finds, by type of artefact"): (
        {"Outlier method": OUTLIER, "Artefact": "artefact_type"},
        "outlier_quality t WHERE artefact_type <> 'all'",
        {"Recall": (".3f", RECALL), "Samples": (".0f", "n_artefact")},
    ),
    ("classification", "cleaning", "Imputers by length of the gap"): (
        {"Outlier method": OUTLIER, "Imputation": IMPUTATION, "Gaps": "gap"},
        "imputation_quality t",
        {
            "Samples": (".0f", "n_samples"),
            "MAE": (".3f", "mae"),
            "MAE of linear": (".3f", "mae_linear"),
            "Less linear's": ("+.3f", "mae - mae_linear"),
            "Better than linear": ("s", "if(mae < mae_linear, 'yes', 'no')"),
            "Unit": ("s", "unit"),
        },
    ),
    ("classification", "cost", "Time of each method"): (
        {"Stage": "stage", "Method": shown("t.stage", "t.method")},
        TIMES,
        {
            "Times computed": (".0f", "count(s)"),
            "Shortest, s": (".1f", "min(s)"),
            "Median, s": (".1f", "quantile_cont(s, 0.5)"),
            "Longest, s": (".1f", "max(s)"),
            "Total, s": (".1f", "sum(s)"),
        },
    ),
    ("classification", "cost", "Time of each combination"): (
        CELL,
        COMBINATIONS,
        {
            "Detection, s": (".1f", duration("outlier_quality", "t.artefact_type = 'all'")),
            "Imputation, s": (
                ".1f",
                duration("imputation_quality", "t.gap = 'all' AND t.imputation_method = r.imputation_method"),
            ),
            "Classifier, all resamples, s": (".1f", "fit_seconds"),
            "Whole run, s": (".1f", "duration_s"),
            "Brier score": (".3f", metric("brier")),
            "AUROC": (".3f", metric("auroc")),
        },
    ),
    ("classification", "ran", "Combinations by method"): (
        {"Stage": "stage", "Method": shown("t.stage", "t.method")},
        PLAN,
        {
            "Planned": (".0f", "count(*)"),
            "Finished": (".0f", "sum(if(status = 'finished', 1, 0))"),
            "Failed": (".0f", "sum(if(status = 'failed', 1, 0))"),
            "Missing": (".0f", "sum(if(status = 'missing', 1, 0))"),
        },
    ),
    ("classification", "ran", "Planned combinations without a result"): (
        CELL,
        "coverage t WHERE status IN ('failed', 'missing')",
        {"Status": ("s", "status"), "Stage": ("s", "failed_stage"), "Reason": ("s", "reason")},
    ),
    ("classification", "provenance", "Runs of the store that are not in this report"): (
        {"Reason": "reason"},
        "excluded_runs t GROUP BY reason",
        {
            "Kind": ("s", "coalesce(max(kind), 'not said')"),
            "Runs": (".0f", "count(*)"),
            "For example": ("s", "min(detail)"),
        },
    ),
    ("imputation", "quality", "Ranking by MAE (lower is better)"): (
        {"Outlier method": OUTLIER, "Imputation": IMPUTATION},
        "imputation_quality t WHERE gap = 'all'",
        {"MAE": (".3f", "mae"), "MRE": (".3f", "mre"), "MSE": (".3f", "mse")},
    ),
    ("outlier_detection", "quality", "Ranking by F1 (higher is better)"): (
        {"Outlier method": OUTLIER},
        DETECTED,
        {
            "F1": (".3f", F1),
            "Precision": (".3f", PRECISION),
            "Recall": (".3f", RECALL),
            "False-positive rate": (".3f", FPR),
        },
    ),
}


def written(form, values):
    """A value, or an estimate with its interval, as a reader of the report expects it."""
    if pd.isna(values[0]):
        return "-"
    if form == "s":
        return str(values[0])
    if form == "p":
        return "<0.001" if values[0] < 0.001 else f"{values[0]:.3f}"
    if form == "to":
        return " to ".join(f"{value:.3f}" for value in values)
    texts = [re.sub(r"^-(0[.]?0*)$", r"+\1" if "+" in form else r"\1", f"{value:{form}}") for value in values]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if len(texts) > 1 and pd.notna(values[1]) else texts[0]


@pytest.fixture(scope="module")
def apart(report_db, tmp_path_factory):
    return changed(report_db, tmp_path_factory.mktemp("apart"), *APART)


@pytest.fixture(scope="module")
def reports(apart):
    return {stage: answer(apart, stage=stage) for stage in dict.fromkeys(stage for stage, *_ in TABLES)}


@functools.cache
def expected(database, table, head):
    """Name of a row -> what its cell says and what it is sorted by."""
    names, source, columns = TABLES[table]
    form, values = columns[head]
    rows = select(database, f"SELECT {', '.join([*names.values(), values])} FROM {source}")
    found = {}
    for row in rows.itertuples(index=False, name=None):
        name, value = row[: len(names)], row[len(names) :]
        found[name] = written(form, value), None if form == "s" or pd.isna(value[0]) else float(value[0])
    assert len(found) == len(rows) > 0
    return found


def column_of(reports, table, head):
    """Name of a row -> cell, of the report."""
    stage, part, title = table
    one = next(one for one in reports[stage].part(part).tables if one.title == title)
    heads = [column.head for column in one.columns]
    assert len(set(heads)) == len(heads)
    places = [heads.index(name) for name in TABLES[table][0]]
    cells = {}
    for row in one.cells:
        name = tuple(re.sub(r"^(\d+|-)[*]?$", "", row[0].text) if p == 0 else row[p].text for p in places)
        cells[name] = row[heads.index(head)]
    assert len(cells) == len(one.rows)
    return cells


COLUMNS = [(table, head) for table, (_, _, columns) in TABLES.items() for head in columns]


@pytest.mark.parametrize(("table", "head"), COLUMNS, ids=lambda one: one if isinstance(one, str) else one[2])
def test_cells_are_what_their_head_says(apart, reports, table, head):
    truth, cells = expected(apart, table, head), column_of(reports, table, head)
    assert {name: cell.text for name, cell in cells.items()} == {
        name: text for name, (text, _) in truth.items()
    }
    for name, (_, value) in truth.items():
        if value is not None:
            assert cells[name].key == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table[2])
def test_no_two_columns_could_be_mistaken_for_one_another(apart, table):
    columns = TABLES[table][2]
    seen = [
        tuple(text for text, _ in expected(apart, table, head).values())
        for head, (form, _) in columns.items()
        if form != "s"
    ]
    assert len(set(seen)) == len(seen)


def drawn(reports, part, name):
    """The axes of a picture of the report, and its labels from top to bottom."""
    picture = next(one for one in reports["classification"].part(part).pictures if one.name == name)
    with journal_style():
        sheet = picture.draw()
    axes = sheet.axes[0]
    return (
        sheet,
        {one.get_gid(): one for one in axes.collections},
        [t.get_text() for t in axes.get_yticklabels()],
    )


def test_chart_draws_estimates_and_both_intervals_as_its_legend_says(apart, reports):
    sheet, marks, labels = drawn(reports, "leaderboard", "chart_auroc")
    rows = select(
        apart,
        f"""SELECT concat_ws(' + ', {OUTLIER}, {IMPUTATION}, {CLASSIFIER}), {bracketed("auroc")},
            {refits("auroc")} FROM {COMBINATIONS}""",
    )
    truth = {name: values for name, *values in rows.itertuples(index=False, name=None)}
    truth = [truth[label.removesuffix(" *")] for label in labels]
    ends = {gid: [tuple(line[:, 0]) for line in marks[gid].get_segments()] for gid in ("sampling", "refit")}
    assert [(x,) for x in marks["estimate"].get_offsets()[:, 0]] == [(row[0],) for row in truth]
    assert ends["sampling"] == [tuple(row[1:3]) for row in truth]
    assert ends["refit"] == [tuple(row[3:5]) for row in truth]
    keys = {
        t.get_text(): h.get_linewidth()
        for g in sheet.legends
        for t, h in zip(g.texts, g.legend_handles, strict=True)
    }
    for gid, said in (("sampling", "95 % sampling"), ("refit", "refit interval")):
        width = next(width for text, width in keys.items() if text.startswith(said))
        assert width == marks[gid].get_linewidth()[0]


def test_chart_of_cost_draws_brier_score_over_time_of_fitting(apart, reports):
    picture = next(one for one in reports["classification"].part("cost").pictures if one.name == "cost")
    with journal_style():
        axes = picture.draw().axes[0]
    points = sorted(tuple(xy) for one in axes.collections for xy in one.get_offsets())
    truth = select(apart, f"SELECT fit_seconds, {metric('brier')} FROM {COMBINATIONS} ORDER BY ALL")
    assert points == list(truth.itertuples(index=False, name=None))
    assert "fit" in axes.get_xlabel() and axes.get_ylabel().startswith("Brier score")
