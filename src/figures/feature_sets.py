"""Feature sets compared, with what age achieves alone and beside the features."""

from __future__ import annotations

from functools import partial

from src.figures.factors import AGE_ALONE
from src.figures.figure import Figure
from src.figures.forest import ESTIMATES, NO_TRUTH, draw

_RUNS = """(
    SELECT rank() OVER (ORDER BY brier, auroc DESC NULLS LAST) AS rank, *
    FROM (FROM essential_metrics UNION ALL BY NAME SELECT * EXCLUDE (reason) FROM baseline_metrics)
)"""
_SETS = f"""
SELECT * FROM ({ESTIMATES.format(source=_RUNS, column="featurization", by_rule=NO_TRUTH)})
QUALIFY max(row_number) OVER () > 1
ORDER BY row_number, chosen DESC, brier, run_id
"""

FEATURE_SETS = Figure(
    name="feature_sets",
    title="Screening accuracy by feature set",
    caption=(
        "One row per feature set, baselines with age included, ordered by Brier score. The large mark is the "
        "set's combination with the lowest out-of-bag Brier score (ties: higher AUROC), named at the right, "
        "chosen among those without ground truth for mask or imputation; where there is none (star at the "
        "name), of all. Small marks are its other combinations; the best of them with ground truth for both "
        "mask and imputation is framed: sets are to be compared after the same cleaning, and a set "
        "with more combinations has had more chances. Thick: 95 % sampling interval, what another sample of "
        "patients would give. Thin: 2.5 to 97.5 percentile over refits on the resamples, which is "
        "instability of the model and no confidence interval. Dashed: the best model that knows only age. "
        "Estimates are out-of-bag means (oob)."
    ),
    queries={"estimates": _SETS, "baseline": AGE_ALONE},
    draw=partial(draw, stage="features"),
    needs=("essential_metrics",),
    part="Features",
    when_empty="the database holds one feature set only, and no baseline beside it",
)
