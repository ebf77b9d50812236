"""Stability: what would change had other subjects been sampled for training."""

from __future__ import annotations

from src.report.document import APPARENT, Part, Table, number, percent, spread
from src.report.reading import Reading

TITLE = "How stable is it?"
_INSTABILITY = (
    "SELECT * FROM v_instability WHERE kind = 'combination' AND mape_mean IS NOT NULL ORDER BY run_id"
)
_WIDTHS = """
SELECT * FROM v_instability WHERE kind = 'combination' AND auroc_refit_width IS NOT NULL ORDER BY run_id
"""
_FIGURES = ("instability_prediction",)
_ABOUT = (
    "Instability is not uncertainty about patients: it says how far models trained on other resamples of "
    "the same subjects differ. None of these spreads is a confidence interval.",
    "Mean difference: how far a resample's model moves a subject's probability from that of the model "
    "trained on everybody. Flips: the share of models that put a subject on the other side of the threshold.",
)


def answer(reading: Reading) -> Part:
    """Say how much the models of a combination scatter."""
    table, widths = _instability(reading), _refit_widths(reading)
    lines = list(_ABOUT)
    if table.rows.empty:
        lines.append(reading.lacking("Instability", "instability_summary"))
    pictures, undrawn = reading.pictures(*_FIGURES)
    tables = [one for one in (table, widths) if len(one.rows)]
    return Part("stability", TITLE, [*lines, *undrawn], tables, pictures)


def _instability(reading: Reading) -> Table:
    columns = [
        *reading.methods,
        number("mape_mean", "Mean difference"),
        number("mape_max", "Largest"),
        *(percent(f"flip_rate_{t}_mean", f"Flips at 0.{t}") for t in ("05", "10", "15", "20", "50")),
        spread("auroc_lo", "auroc_hi", "AUROC, spread over refits"),
        spread("brier_lo", "brier_hi", "Brier, spread over refits"),
        spread("cal_slope_lo", "cal_slope_hi", "Slope, spread over refits"),
    ]
    rows = reading.of_combinations(_INSTABILITY)
    about = f"{APPARENT} Spread over refits: 2.5 to 97.5 percentile; no confidence interval."
    return Table("instability", "Scatter of the models of each combination", about, columns, rows)


def _refit_widths(reading: Reading) -> Table:
    columns = [
        *reading.methods,
        number("auroc_refit_width", "Width of the spread over refits"),
        number("auroc_sampling_width", "Width of the sampling interval"),
    ]
    about = "Estimator: oob. Two widths of the AUROC that answer different questions."
    rows = reading.of_combinations(_WIDTHS)
    return Table("widths", "Spread over refits beside the sampling interval", about, columns, rows)
