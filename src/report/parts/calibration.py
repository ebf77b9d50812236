"""Calibration: whether a predicted probability means what it says."""

from __future__ import annotations

from src.report.document import OOB, POOLED, Part, Table, estimate, number
from src.report.reading import Reading

TITLE = "Are the probabilities right?"
_CALIBRATION = (
    "SELECT * FROM v_calibration WHERE kind = 'combination' AND estimator = $estimator ORDER BY run_id"
)
_MEDIANS = "SELECT run_id, cal_intercept_joint_median, oe_ratio_median FROM essential_metrics"
_UNCHECKED = """
SELECT count(*) FILTER (NOT coverage_checked) AS unchecked, count(*) AS n FROM metric_estimates
WHERE metric = 'cal_slope' AND estimator = 'oob' AND sampling_lo IS NOT NULL
"""
_FIGURES = ("calibration", "probability_distributions")
MEDIANS = (
    "Calibration slopes, intercepts and the O:E ratio are means over the resamples, with the medians beside "
    "them: with few cases left out some resamples give extreme values, which pull the mean, not the median."
)
NARROW_SLOPE = "The sampling interval of the calibration slope is too narrow: simulated, it covers less."
_ABOUT = (
    "Ideal values: calibration in the large 0, slope 1, O:E ratio 1. A slope below 1 means predictions too "
    "extreme, an O:E ratio below 1 predictions too high.",
    MEDIANS,
)


def answer(reading: Reading) -> Part:
    """Say how well each combination is calibrated."""
    made = [
        (_each_model(reading), "Calibration of single models", "metric_estimates"),
        (_smoothed(reading), "Smoothed calibration", "metric_estimates"),
    ]
    tables = [table for table, *_ in made if len(table.rows)]
    lines = [*_ABOUT, *narrow_slope(reading)]
    lines += [reading.lacking(what, source) for table, what, source in made if table.rows.empty]
    pictures, undrawn = reading.pictures(*_FIGURES)
    return Part("calibration", TITLE, [*lines, *undrawn], tables, pictures)


def narrow_slope(reading: Reading) -> list[str]:
    """The warning about the slope's interval, where there is one that simulation does not hold to 95 %."""
    row = reading.first(_UNCHECKED)
    return [NARROW_SLOPE] if row and row["n"] and (row["unchecked"] or row["unchecked"] is None) else []


def _each_model(reading: Reading) -> Table:
    columns = [
        *reading.methods,
        estimate("cal_intercept", "Calibration in the large [95 %]"),
        estimate("cal_slope", "Slope [95 %]"),
        number("cal_slope_median", "Slope (median)"),
        number("cal_intercept_joint", "Joint intercept"),
        number("cal_intercept_joint_median", "Joint intercept (median)"),
        estimate("oe_ratio", "O:E ratio [95 %]"),
        number("oe_ratio_median", "O:E ratio (median)"),
    ]
    rows = reading.of_combinations(_CALIBRATION, {"estimator": "oob"})
    rows = rows.merge(reading.query(_MEDIANS), on="run_id", how="left")
    about = f"{OOB} In brackets: 95 % sampling interval."
    return Table("calibration", "Calibration of single models", about, columns, rows)


def _smoothed(reading: Reading) -> Table:
    columns = [
        *reading.methods,
        *(number(name, reading.metric_name(name)) for name in ("ici", "e50", "e90", "emax", "ece10")),
        estimate("cal_slope", "Slope [95 %]"),
        estimate("oe_ratio", "O:E ratio [95 %]"),
    ]
    rows = reading.of_combinations(_CALIBRATION, {"estimator": "oob_pooled"})
    about = f"{POOLED} ICI to Emax: distance from a loess curve; ECE: ten equal bins; lower is better."
    return Table(
        "calibration_smoothed", "Distance of the smoothed curve from the diagonal", about, columns, rows
    )
