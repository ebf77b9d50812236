"""What figures draw, mark by mark, against the database, asked with other SQL than the figures' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawing import drawn_once
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex

from src.figures.feature_names import readable_feature
from src.figures.selection import CHOSEN
from src.figures.style import CASES, CONTROLS, PALETTE
from src.results.database import open_results


def _line(mark: Any) -> Iterator[dict[str, Any]]:
    for x, y in zip(mark.get_xdata(), mark.get_ydata(), strict=True):
        yield {"x": x, "y": y, "colour": mark.get_color()}


def _start(mark: Any) -> Iterator[dict[str, Any]]:
    yield next(_line(mark))


def _points(mark: Any) -> Iterator[dict[str, Any]]:
    faces = mark.get_facecolor() if len(mark.get_facecolor()) else mark.get_edgecolor()
    points = mark.get_offsets()
    for (x, y), face in zip(points, np.resize(faces, (len(points), 4)), strict=True):
        yield {"x": x, "y": y, "colour": face}


def _intervals(mark: Any) -> Iterator[dict[str, Any]]:
    segments = mark.get_segments()
    for ((x, y), (x2, y2)), edge in zip(
        segments, np.resize(mark.get_edgecolor(), (len(segments), 4)), strict=True
    ):
        yield {"x": x, "y": y, "x2": x2, "y2": y2, "colour": edge}


def _band(mark: Any) -> Iterator[dict[str, Any]]:
    for path in mark.get_paths():
        for x, y in path.vertices:
            yield {"x": x, "y": y, "colour": mark.get_facecolor()[0]}


def _bar(mark: Any) -> Iterator[dict[str, Any]]:
    x, y = mark.get_xy()
    ends = {"x2": x + mark.get_width(), "y2": y + mark.get_height()}
    yield {"x": x, "y": y, "colour": mark.get_facecolor()} | ends


def _words(mark: Any) -> Iterator[dict[str, Any]]:
    x, y = mark.xy if hasattr(mark, "xy") else mark.get_position()
    yield {"x": x, "y": y, "words": mark.get_text().replace("\n", " "), "colour": mark.get_color()}


KINDS: dict[str, tuple[str, Callable[[Any], Iterator[dict[str, Any]]]]] = {
    "line": ("lines", _line),
    "start": ("lines", _start),
    "points": ("collections", _points),
    "intervals": ("collections", _intervals),
    "band": ("collections", _band),
    "bars": ("patches", _bar),
    "words": ("texts", _words),
}


def _name(axis: Axis, value: float) -> str:
    """The label of an axis that a mark is nearest to."""
    places = np.asarray(axis.get_ticklocs())
    names = axis.get_major_formatter().format_ticks(list(places))
    return names[int(np.abs(places - value).argmin())].replace("\n", " ")


def _find(axes: list[Axes], panel: Any) -> Axes:
    """A panel by its number, or by how its title or a label begins."""
    if not isinstance(panel, str):
        return axes[int(panel)]
    found = [
        one
        for one in axes
        for words in (one.get_title("left"), one.get_title(), one.get_xlabel(), one.get_ylabel())
        if words.replace("\n", " ").startswith(panel)
    ]
    assert len(found) == 1, f"{len(found)} panels are called {panel!r}"
    return found[0]


def _drawn(axes: Axes, kind: str, gid: str | None, columns: list[str]) -> list[tuple[Any, ...]]:
    where, read = KINDS[kind]
    rows = [row for mark in getattr(axes, where) if mark.get_gid() == gid for row in read(mark)]
    rows = [row for row in rows if not any(pd.isna(row[at]) for at in ("x", "y", "x2", "y2") if at in row)]
    for row in rows:
        row["row"] = _name(axes.yaxis, row["y"]) if "row" in columns else ""
        row["column"] = _name(axes.xaxis, row["x"]) if "column" in columns else ""
        row["colour"] = to_hex(row["colour"])
    return _sorted(tuple(row[column] for column in columns) for row in rows)


def _sorted(rows: Any) -> list[tuple[Any, ...]]:
    """In one order, points that are drawn twice (the ends of a band) once."""
    return sorted(
        {tuple(v.lower() if isinstance(v, str) else round(float(v), 8) + 0.0 for v in row) for row in rows}
    )


def _same(drawn: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    """Whether the rows are equal but for the last digit."""
    return len(drawn) == len(expected) and all(
        a == b if isinstance(a, str) else abs(a - b) < 1e-6
        for one, other in zip(drawn, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


CHOSEN_COLOUR = f"({list(PALETTE)})[selection_order] AS colour"
CLASS_COLOUR = f"CASE y WHEN 1 THEN '{CASES}' ELSE '{CONTROLS}' END AS colour"
PANEL = "selection_order - 1 AS panel"
BELOW = "selection_order - 1 + (SELECT count(*) FROM shown) AS panel"

HEATMAP = """
SELECT c.display_name AS panel, i.display_name AS "column", o.display_name AS "row",
       printf('%.3f', e.{metric}) AS words
FROM essential_metrics e
JOIN methods o ON o.stage = 'outlier' AND o.name = e.outlier_method
JOIN methods i ON i.stage = 'imputation' AND i.name = e.imputation_method
JOIN methods c ON c.stage = 'classifier' AND c.name = e.classifier
"""
ROC = f"""
SELECT {PANEL}, fpr AS x, {{y}} AS y, {CHOSEN_COLOUR}
FROM shown JOIN roc_curves USING (run_id) WHERE estimator = 'oob'
"""
DECISION = f"""
, named AS (
    SELECT *, prevalence_study AS prevalence, 'Prevalence of the study' AS panel, 0 AS number,
           0.6 AS highest, 0.3 AS plausible FROM decision_curves, provenance WHERE population = 'study'
    UNION ALL
    SELECT *, prevalence_population, 'Prevalence of the population', 1, 0.2, 0.2
    FROM decision_curves, provenance WHERE population = 'population'
), places AS (
    SELECT *, {CHOSEN_COLOUR} FROM shown JOIN named USING (run_id) WHERE estimator = 'oob'
)
"""
DECISION_LINE = (
    DECISION
    + """SELECT panel, threshold AS x, {y} AS y{colour} FROM places
WHERE threshold < highest + 1e-9 AND {y} >= -prevalence / 4"""
)
REPORTED = f"""
, estimates AS (
    SELECT *, CAST(right(metric, 2) AS INTEGER) / 100 AS threshold
    FROM shown JOIN metric_estimates USING (run_id)
    WHERE estimator = 'oob' AND regexp_full_match(metric, 'net_benefit_(05|10|15|20)')
), worth AS (
    SELECT run_id, round(threshold, 2) AS threshold, greatest(treat_all, 0) AS default_benefit
    FROM decision_curves WHERE estimator = 'oob' AND population = 'study'
)
SELECT 2 AS panel, worth.threshold + 0.0035 * (selection_order - ((SELECT count(*) FROM shown) + 1) / 2) AS x,
       {{values}}, {CHOSEN_COLOUR}
FROM estimates JOIN worth
ON worth.run_id = estimates.run_id AND abs(worth.threshold - estimates.threshold) < 1e-6
"""
CALIBRATION = f"""
SELECT {PANEL}, p AS x, {{y}} AS y FROM shown JOIN calibration_curves USING (run_id)
WHERE estimator = '{{estimator}}'
"""
HISTOGRAM = f"""
SELECT {{panel}}, p_lo AS x, p_hi AS x2, 0 AS y, {{height}} AS y2, {CLASS_COLOUR}
FROM shown JOIN probability_distributions USING (run_id) WHERE y = {{of}}
"""
UNCERTAINTY = " UNION ALL ".join(
    f"""
SELECT selection_order - 1 + {number} * (SELECT count(*) FROM shown) AS panel, p_oob AS x, {quantity} AS y,
       {CLASS_COLOUR.replace("CASE y", "CASE predictions.y")}
FROM shown JOIN predictions USING (run_id) WHERE ((p_oob >= 0.5) = (predictions.y = 1)) = {{right}}
"""
    for number, quantity in enumerate(("p_oob_sd", "mutual_information", "expected_entropy"))
)


def _for_metrics(sql: str) -> str:
    """The query for both metrics, each with the panel that has its name."""
    names = {"auroc": "AUROC", "brier": "Brier score"}
    return " UNION ALL ".join(
        f"(SELECT '{words}' AS panel, * FROM ({sql.replace('METRIC', metric)}))"
        for metric, words in names.items()
    )


# A mark's row is named by the labels at the left. Truths: how many of the two cleaning stages a person did.
RUNS = """
, runs_judged AS (
    SELECT *, (outlier_method = 'pupil-gt')::INT + (imputation_method = 'pupil-gt')::INT AS truths
    FROM ({source})
), judged AS (
    SELECT r.*, m.colour,
           m.display_name
               || CASE WHEN bool_or({fits}) OVER (PARTITION BY {column}) THEN '' ELSE ' *' END AS "row",
           row_number() OVER (PARTITION BY {column} ORDER BY {fits} DESC, brier, auroc DESC) = 1 AS best
    FROM runs_judged r JOIN methods m ON m.stage = '{stage}' AND m.name = r.{column}
)
"""
EVERY_RUN = (
    "SELECT * FROM essential_metrics UNION ALL BY NAME SELECT * EXCLUDE (reason) FROM baseline_metrics"
)
FORESTS = {
    "forest_outlier": ("outlier", "outlier_method", "truths <> 1", "FROM essential_metrics"),
    "forest_imputation": ("imputation", "imputation_method", "truths <> 1", "FROM essential_metrics"),
    "forest_classifier": ("classifier", "classifier", "truths = 0", "FROM essential_metrics"),
    "feature_sets": ("features", "featurization", "truths = 0", EVERY_RUN),
}


def _forest(figure: str) -> Iterator[tuple[str, str, str | None, str]]:
    """What a forest plot shows: best combinations with both intervals, all others, and age."""
    stage, column, fits, source = FORESTS[figure]
    judged = RUNS.format(stage=stage, column=column, fits=fits, source=source)
    shown = {
        ("points", "chosen"): 'METRIC AS x, "row", colour FROM judged WHERE best',
        ("intervals", "sampling"): 'METRIC_lo AS x, METRIC_hi AS x2, "row", colour FROM judged WHERE best',
        ("intervals", "refit"): 'METRIC_refit_lo AS x, METRIC_refit_hi AS x2, "row" FROM judged WHERE best',
        ("points", "others"): 'METRIC AS x, "row" FROM judged WHERE NOT best',
        ("line", "baseline"): "unnest([METRIC, METRIC]) AS x FROM ("
        "FROM baseline_metrics WHERE outlier_method = 'none' ORDER BY brier, auroc DESC LIMIT 1)",
    }
    for (kind, gid), sql in shown.items():
        yield figure, kind, gid, judged + _for_metrics(f"SELECT {sql}")


KINDS_OF_CLASSIFIER = """
, placed AS (
    SELECT e.*, m.display_name AS "row", m.colour, row_number() OVER (
        PARTITION BY m.category
        ORDER BY outlier_method = 'pupil-gt' OR imputation_method = 'pupil-gt', brier, auroc DESC) = 1 AS best
    FROM essential_metrics e JOIN methods m ON m.stage = 'classifier' AND m.name = e.classifier
)
"""
JUDGED = """
, judged AS (
    SELECT 'Detection' AS panel, display_name AS "row", colour, f1 AS value, f1_random AS reference
    FROM outlier_quality JOIN methods ON stage = 'outlier' AND name = outlier_method
    WHERE artefact_type = 'all'
    UNION ALL
    SELECT 'Imputation', display_name, colour, mae, mae_linear
    FROM imputation_quality JOIN methods ON stage = 'imputation' AND name = imputation_method
    WHERE gap = 'all' AND outlier_method = 'pupil-gt'
)
"""
INSTABILITY_CURVE = f"""
SELECT {PANEL}, x, {{y}} AS y, {CHOSEN_COLOUR} FROM shown JOIN instability_curves USING (run_id)
WHERE curve = '{{curve}}'
"""
OF_SUBJECTS = f"""
SELECT {{panel}} AS panel, p_apparent AS x, {{values}}, {CLASS_COLOUR.replace("CASE y", "CASE predictions.y")}
FROM shown JOIN predictions USING (run_id) JOIN instability_subjects USING (run_id, recording_code)
WHERE predictions.y = {{of}}
"""
IMPORTANCE = """
SELECT selection_order - 1 + (SELECT count(*) FROM shown) * (kind = 'permutation')::INT AS panel,
       {values}, feature FROM shown JOIN feature_importances USING (run_id)
"""
CLEANING = """
, quality AS (
    SELECT 'By detector' AS panel, e.*, q.f1 AS quality, m.colour, m.name AS method
    FROM essential_metrics e JOIN outlier_quality q USING (outlier_method)
    JOIN methods m ON m.stage = 'outlier' AND m.name = e.outlier_method WHERE artefact_type = 'all'
    UNION ALL
    SELECT 'By imputer', e.*, q.mae, m.colour, m.name
    FROM essential_metrics e JOIN imputation_quality q USING (outlier_method, imputation_method)
    JOIN methods m ON m.stage = 'imputation' AND m.name = e.imputation_method WHERE gap = 'all'
)
"""
RECORDING = """
, lost AS (
    SELECT recording_code, sum((truth_mask OR raw IS NULL)::INT) AS n FROM example_recordings GROUP BY ALL
), example AS (
    SELECT min(recording_code) AS recording_code FROM lost
    WHERE n = (SELECT n FROM lost ORDER BY n OFFSET 1 LIMIT 1)
), signal AS (
    SELECT e.*, m.display_name AS panel, m.colour, i.missing, i.imputed, i.sd
    FROM example_imputations i JOIN example USING (recording_code)
    JOIN example_recordings e USING (recording_code, sample)
    JOIN methods m ON m.stage = 'imputation' AND m.name = i.imputation_method
    WHERE outlier_method = (SELECT arg_min(outlier_method, brier) FROM essential_metrics
                            WHERE outlier_method <> 'pupil-gt')
)
"""
IMPUTERS = """
, gaps AS (
    SELECT q.*, m.display_name AS "row", m.colour,
           CASE gap WHEN 'all' THEN 'All gaps' ELSE 'Gaps ' || gap END AS panel
    FROM imputation_quality q JOIN methods m ON m.stage = 'imputation' AND m.name = q.imputation_method
)
"""
CORRELATED = """
, truth AS (SELECT 'pupil-gt' AS outlier_method, 'pupil-gt' AS imputation_method)
"""
VARIANCE = """
, shares AS (
    SELECT CASE v.metric WHEN 'auroc' THEN 'AUROC' ELSE 'Brier' END AS panel,
           eta_squared, partial_eta_squared,
           upper(factor[1]) || replace(factor[2:], '_', ' ') || ', df ' || df AS "row"
    FROM variance_decomposition v WHERE v.metric IN ('auroc', 'brier') AND factor <> 'total'
)
"""
RANKS = """
, ranks AS (
    SELECT c.*, m.display_name, m.colour, upper(factor[1]) || replace(factor[2:], '_', ' ') || ':' AS panel
    FROM critical_differences c
    JOIN methods m ON m.name = c.method AND m.stage = replace(factor, '_method', '')
    WHERE metric = '{metric}'
)
"""

CHECKS = [
    *((f"heatmap_{metric}", "words", None, HEATMAP.format(metric=metric)) for metric in ("auroc", "brier")),
    ("roc", "line", "curve", ROC.format(y="tpr")),
    ("roc", "band", "band", ROC.format(y="unnest([tpr_lo, tpr_hi])")),
    (
        "roc",
        "line",
        "reference",
        """SELECT s.selection_order - 1 AS panel, fpr AS x, tpr AS y
        FROM shown s, roc_curves JOIN shown f USING (run_id)
        WHERE estimator = 'oob' AND f.selection_order = 1 AND s.selection_order > 1""",
    ),
    ("decision_curves", "line", "curve", DECISION_LINE.format(y="net_benefit", colour=", colour")),
    (
        "decision_curves",
        "line",
        "unshifted",
        DECISION_LINE.format(y="net_benefit_pop_unshifted", colour=", colour"),
    ),
    ("decision_curves", "line", "treat all", DECISION_LINE.format(y="treat_all", colour="")),
    (
        "decision_curves",
        "line",
        "gain",
        DECISION
        + """SELECT 2 + number AS panel, threshold AS x, net_benefit - greatest(treat_all, 0) AS y, colour
        FROM places WHERE threshold < plausible + 1e-9""",
    ),
    (
        "decision_curves",
        "points",
        "reported",
        REPORTED.format(values="estimate - default_benefit AS y"),
    ),
    (
        "decision_curves",
        "intervals",
        "sampling",
        REPORTED.format(values="sampling_lo - default_benefit AS y, sampling_hi - default_benefit AS y2"),
    ),
    ("calibration", "line", "oob_pooled", CALIBRATION.format(y="observed", estimator="oob_pooled")),
    ("calibration", "line", "apparent", CALIBRATION.format(y="observed", estimator="apparent")),
    (
        "calibration",
        "band",
        "band",
        CALIBRATION.format(y="unnest([observed_lo, observed_hi])", estimator="oob_pooled"),
    ),
    (
        "calibration",
        "points",
        "groups",
        f"""SELECT {PANEL}, p_mean AS x, observed AS y FROM shown JOIN calibration_bins USING (run_id)
        WHERE estimator = 'oob_pooled'""",
    ),
    ("calibration", "bars", "class 1", HISTOGRAM.format(panel=BELOW, height="n", of=1)),
    ("calibration", "bars", "class 0", HISTOGRAM.format(panel=BELOW, height="-n", of=0)),
    *(
        (
            "probability_distributions",
            "bars",
            f"class {y}",
            HISTOGRAM.format(panel=PANEL, height="n / sum(n) OVER (PARTITION BY run_id)", of=y),
        )
        for y in (0, 1)
    ),
    ("uncertainty", "points", "right", UNCERTAINTY.format(right="true")),
    ("uncertainty", "points", "wrong", UNCERTAINTY.format(right="false")),
    *(
        ("method_kinds", kind, gid, KINDS_OF_CLASSIFIER + _for_metrics(f"SELECT {sql}"))
        for kind, gid, sql in (
            ("points", "combination", 'METRIC AS x, "row" FROM placed'),
            ("points", "chosen", 'METRIC AS x, "row", colour FROM placed WHERE best'),
            (
                "intervals",
                "sampling",
                'METRIC_lo AS x, METRIC_hi AS x2, "row", colour FROM placed WHERE best',
            ),
            (
                "intervals",
                "refit",
                'METRIC_refit_lo AS x, METRIC_refit_hi AS x2, "row" FROM placed WHERE best',
            ),
        )
    ),
    *(
        ("method_kinds", kind, gid, JUDGED + sql + " FROM judged")
        for kind, gid, sql in (
            ("points", "method", 'SELECT panel, value AS x, "row", colour'),
            ("points", "reference", 'SELECT panel, reference AS x, "row"'),
            ("intervals", "gain", 'SELECT panel, reference AS x, value AS x2, "row"'),
        )
    ),
    *(check for figure in FORESTS for check in _forest(figure)),
    *(
        (
            "instability_prediction",
            "intervals",
            f"class {y}",
            OF_SUBJECTS.format(panel="selection_order - 1", values="p_lo AS y, p_hi AS y2", of=y),
        )
        for y in (0, 1)
    ),
    *(
        (
            "instability_classification",
            "points",
            f"class {y}",
            OF_SUBJECTS.format(
                panel="selection_order - 1 + part * (SELECT count(*) FROM shown)",
                values="CASE part WHEN 0 THEN flip_rate_10 ELSE flip_rate_50 END AS y",
                of=y,
            ).replace("WHERE", "CROSS JOIN (SELECT unnest([0, 1]) AS part) WHERE"),
        )
        for y in (0, 1)
    ),
    (
        "instability_calibration",
        "band",
        "band",
        INSTABILITY_CURVE.format(y="unnest([lo, hi])", curve="calibration"),
    ),
    (
        "instability_calibration",
        "line",
        "original",
        INSTABILITY_CURVE.format(y="original", curve="calibration"),
    ),
    (
        "instability_calibration",
        "words",
        "words",
        f"""SELECT {PANEL}, printf('slope %.2f to %.2f O:E %.2f to %.2f',
        cal_slope_lo, cal_slope_hi, oe_ratio_lo, oe_ratio_hi) AS words
        FROM shown JOIN instability_summary USING (run_id)""",
    ),
    (
        "instability_prediction",
        "words",
        "words",
        f"""SELECT {PANEL}, printf('mean absolute difference %.3f (largest %.3f)', mape_mean, mape_max)
        AS words
        FROM shown JOIN instability_summary USING (run_id)""",
    ),
    (
        "instability_decision",
        "line",
        "original",
        INSTABILITY_CURVE.format(y="original", curve="decision")
        + " AND x < 0.605 AND original >= (SELECT -prevalence_study / 4 FROM provenance)",
    ),
    (
        "instability_decision",
        "band",
        "band",
        INSTABILITY_CURVE.format(
            y="unnest([greatest(lo, (SELECT -prevalence_study / 4 FROM provenance)), hi])", curve="decision"
        )
        + " AND x < 0.605 AND hi >= (SELECT -prevalence_study / 4 FROM provenance)",
    ),
    ("importance", "points", "mean", IMPORTANCE.format(values="mean AS x")),
    ("importance", "intervals", "refit", IMPORTANCE.format(values="lo AS x, hi AS x2")),
    (
        "quality_and_accuracy",
        "points",
        "combination",
        CLEANING + "SELECT panel, quality AS x, auroc AS y, colour FROM quality",
    ),
    (
        "quality_and_accuracy",
        "intervals",
        "sampling",
        CLEANING
        + """SELECT panel, quality AS x, auroc_lo AS y, auroc_hi AS y2 FROM quality
        WHERE run_id = (SELECT arg_min(run_id, brier) FROM essential_metrics)""",
    ),
    (
        "quality_and_accuracy",
        "points",
        "mean",
        CLEANING
        + """SELECT panel, avg(quality) AS x, avg(auroc) AS y, colour FROM quality
        GROUP BY panel, method, colour""",
    ),
    (
        "recording",
        "line",
        "imputed",
        RECORDING + "SELECT panel, time_s AS x, imputed AS y, colour FROM signal WHERE missing",
    ),
    (
        "recording",
        "line",
        "observed",
        RECORDING + "SELECT panel, time_s AS x, CASE WHEN missing THEN imputed ELSE raw END AS y FROM signal",
    ),
    ("recording", "line", "truth", RECORDING + "SELECT panel, time_s AS x, truth AS y FROM signal"),
    (
        "recording",
        "band",
        "sd",
        RECORDING
        + """SELECT panel, time_s AS x, unnest([imputed - 1.96 * sd, imputed + 1.96 * sd]) AS y
        FROM signal WHERE missing""",
    ),
    (
        "recording",
        "line",
        "raw",
        RECORDING
        + """SELECT 0 AS panel, time_s AS x, raw AS y
        FROM example JOIN example_recordings USING (recording_code)""",
    ),
    (
        "imputation_quality",
        "intervals",
        "linear",
        IMPUTERS
        + """SELECT panel, avg(mae_linear) AS x, avg(mae_linear) AS x2, "row"
        FROM gaps GROUP BY ALL""",
    ),
    (
        "imputation_quality",
        "points",
        "mean",
        IMPUTERS + """SELECT panel, avg(mae) AS x, "row", colour FROM gaps GROUP BY panel, "row", colour""",
    ),
    (
        "imputation_quality",
        "points",
        "pair",
        IMPUTERS + """SELECT panel, mae AS x, "row", colour FROM gaps""",
    ),
    (
        "feature_correlation",
        "bars",
        "vif",
        CORRELATED
        + """SELECT 'Variance inflation' AS panel, 1 AS x, vif AS x2, feature
        FROM feature_vif JOIN truth USING (outlier_method, imputation_method)""",
    ),
    (
        "feature_correlation",
        "words",
        None,
        CORRELATED
        + """SELECT 0 AS panel, greatest(feature_a, feature_b) AS feature,
               replace(printf('%.2f', spearman), '-', '−') AS words
        FROM feature_correlations JOIN truth USING (outlier_method, imputation_method)""",
    ),
    (
        "variance_decomposition",
        "bars",
        "eta squared",
        VARIANCE + 'SELECT panel, 0 AS x, eta_squared AS x2, "row" FROM shares',
    ),
    (
        "variance_decomposition",
        "points",
        "partial",
        VARIANCE + 'SELECT panel, partial_eta_squared AS x, "row" FROM shares',
    ),
    (
        "variance_decomposition",
        "words",
        "value",
        VARIANCE
        + """SELECT panel, "row", CASE WHEN partial_eta_squared IS NULL
        THEN printf('%.1f %%', 100 * eta_squared)
        ELSE printf('%.1f %%  (partial %.1f %%)', 100 * eta_squared, 100 * partial_eta_squared) END AS words
        FROM shares""",
    ),
    *(
        (f"critical_difference_{metric}", kind, gid, RANKS.format(metric=metric) + sql)
        for metric in ("auroc", "brier")
        for kind, gid, sql in (
            (
                "words",
                None,
                """SELECT panel, CASE WHEN row_number() OVER (PARTITION BY factor ORDER BY mean_rank, method)
                <= ceil(n_methods / 2) THEN display_name || '  ' || printf('%.2f', mean_rank)
                ELSE printf('%.2f', mean_rank) || '  ' || display_name END AS words FROM ranks
                UNION ALL SELECT DISTINCT panel, printf('CD %.2f', critical_difference) FROM ranks
                UNION ALL SELECT DISTINCT panel, 'Mean rank (1 is best)' FROM ranks""",
            ),
            (
                "start",
                "method",
                "SELECT panel, mean_rank AS x, 0 AS y, colour FROM ranks",
            ),
            (
                "line",
                "difference",
                f"""SELECT DISTINCT panel, unnest([1, 1 + critical_difference]) AS x, '{CASES}' AS colour
                FROM ranks""",
            ),
        )
    ),
]
"""Figure, kind of mark, group of marks (gid), and SQL of what they show.

Its columns are compared: the panel by number or by how its title or a label begins; x and y, and x2 and y2 of
the other end; instead of x and y the names of column and row; the colour; the words. `shown` are the chosen.
"""


@pytest.mark.parametrize(
    ("figure", "kind", "gid", "sql"), CHECKS, ids=[f"{check[0]}-{check[1]}-{check[2]}" for check in CHECKS]
)
def test_marks_are_where_the_numbers_are(figure, kind, gid, sql, whole_db):
    with open_results(whole_db) as results:
        expected = results.query(f"WITH shown AS ({CHOSEN}) {sql}").dropna()
    assert len(expected) > 0
    axes = drawn_once(figure, whole_db)[0].axes
    if "feature" in expected:
        expected["row"] = expected.pop("feature").map(readable_feature)
    columns = [column for column in expected if column != "panel"]
    for panel, part in expected.groupby("panel"):
        drawn = _drawn(_find(axes, panel), kind, gid, columns)
        wanted = _sorted(part[columns].itertuples(index=False, name=None))
        assert _same(drawn, wanted), f"panel {panel}: {_first_difference(drawn, wanted)}"


def _first_difference(drawn: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> str:
    pairs = [(a, b) for a, b in zip(drawn, wanted, strict=False) if not _same([a], [b])][:2]
    return f"{len(drawn)} drawn, {len(wanted)} in the database; drawn and wanted: {pairs}"


@pytest.mark.parametrize("figure", ["method_kinds", *FORESTS])
def test_the_sampling_interval_is_the_thick_one(figure, whole_db):
    widths: dict[str, set[float]] = {"sampling": set(), "refit": set()}
    for axes in drawn_once(figure, whole_db)[0].axes:
        for mark in axes.collections:
            if mark.get_gid() in widths:
                widths[mark.get_gid()] |= {float(width) for width in mark.get_linewidth()}
    assert min(widths["sampling"]) > 2 * max(widths["refit"])


@pytest.mark.parametrize(("metric", "sign"), [("auroc", 1), ("brier", -1)])
def test_a_better_cell_of_a_heatmap_is_darker(metric, sign, whole_db):
    """Cells by their place: the number written in each, and how light its colour is."""
    found = []
    for axes in drawn_once(f"heatmap_{metric}", whole_db)[0].axes:
        written = {text.get_position(): float(text.get_text().replace("−", "-")) for text in axes.texts}
        for cell in axes.patches:
            if cell.get_gid() == "value":
                place = (cell.get_x() + 0.5, cell.get_y() + 0.5)
                found.append((sign * written[place], sum(cell.get_facecolor()[:3])))
    lightness = [light for _, light in sorted(found, key=lambda one: (one[0], -one[1]))]
    assert len(found) > 30
    assert lightness[0] - lightness[-1] > 1
    assert np.all(np.diff(lightness) < 0.02)


def test_correlations_have_the_colour_of_their_sign(whole_db):
    """Purple (more blue than red) above 0, orange below, the deeper the further away."""
    axes = drawn_once("feature_correlation", whole_db)[0].axes[0]
    written = {text.get_position(): float(text.get_text().replace("−", "-")) for text in axes.texts}
    (squares,) = [group for group in axes.collections if group.get_gid() == "pair"]
    tints = {}
    for path, (red, _, blue, _) in zip(squares.get_paths(), squares.get_facecolor(), strict=True):
        tints[tuple(path.vertices[:4].mean(axis=0))] = blue - red
    assert tints.keys() == written.keys()
    clear = [place for place, value in written.items() if abs(value) > 0.1]
    assert clear
    assert all(np.sign(tints[place]) == np.sign(written[place]) for place in clear)


SMALL_MULTIPLES = [
    "roc", "calibration", "probability_distributions", "uncertainty", "instability_prediction",
    "instability_calibration", "instability_classification", "instability_decision", "importance",
]  # fmt: skip


@pytest.mark.parametrize("figure", SMALL_MULTIPLES)
def test_panels_stand_in_the_order_of_choosing(figure, whole_db):
    with open_results(whole_db) as results:
        roles = results.query(CHOSEN)["role"]
    titles = [axes.get_title("left").replace("\n", " ") for axes in drawn_once(figure, whole_db)[0].axes]
    assert [title for title in titles if title] == list(roles)
