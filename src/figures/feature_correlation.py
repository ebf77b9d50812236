"""How much the features say the same: rank correlations, and how well each follows from the others."""

from __future__ import annotations

from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Sheet
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from src.figures.feature_names import readable_feature
from src.figures.figure import Figure, Tables
from src.figures.panels import squares
from src.figures.style import GREY, PALE, Background, new_sheet, readable_on, records, signed, strip_axes

_MOST = 40
"""Features shown."""

_FEATURES = f"""
cleanings AS (
    SELECT DISTINCT featurization, outlier_method, imputation_method FROM feature_correlations
),
cleaning AS (
    SELECT c.*, coalesce(o.category = 'ground truth' AND i.category = 'ground truth', false) AS is_truth
    FROM cleanings c
    JOIN v_leaderboard champion ON champion.featurization = c.featurization AND champion.rank = 1
    LEFT JOIN methods o ON o.stage = 'outlier' AND o.name = c.outlier_method
    LEFT JOIN methods i ON i.stage = 'imputation' AND i.name = c.imputation_method
    WHERE (o.category = 'ground truth' AND i.category = 'ground truth')
       OR (champion.outlier_method, champion.imputation_method) = (c.outlier_method, c.imputation_method)
    ORDER BY is_truth DESC, champion.run_id, c.outlier_method LIMIT 1
),
pairs AS (
    SELECT feature_a, feature_b, spearman
    FROM feature_correlations JOIN cleaning USING (featurization, outlier_method, imputation_method)
),
strongest AS (
    SELECT feature, max(abs(spearman)) AS largest
    FROM (SELECT unnest([feature_a, feature_b]) AS feature, spearman FROM pairs) GROUP BY feature
),
features AS (
    SELECT feature, n_features, row_number() OVER (
               ORDER BY regexp_replace(feature, '[0-9]+.*', ''),
                        try_cast(regexp_extract(feature, '[0-9]+') AS INTEGER), feature
           ) - 1 AS place
    FROM (
        SELECT feature, count(*) OVER () AS n_features,
               row_number() OVER (ORDER BY largest DESC NULLS LAST, feature) AS strength
        FROM strongest
    ) WHERE strength <= {_MOST}
)"""
_PAIRS = f"""
WITH {_FEATURES}
SELECT p.*, least(a.place, b.place) AS x, greatest(a.place, b.place) AS y
FROM pairs p JOIN features a ON a.feature = p.feature_a JOIN features b ON b.feature = p.feature_b
ORDER BY y, x
"""
_VIF = f"""
WITH {_FEATURES}
SELECT c.*, f.feature, f.place, f.n_features, v.vif,
       CASE WHEN v.vif IS NULL THEN coalesce(v.reason, 'not stored') END AS reason
FROM features f CROSS JOIN cleaning c
LEFT JOIN feature_vif v USING (featurization, outlier_method, imputation_method, feature)
ORDER BY f.place
"""
_CELL_MM, _MATRIX_MM, _STRIP_MM, _NEEDS_MM = 7.5, 88, 46, 5.5
_COLOURMAP = "PuOr"
"""Diverging and colour-blind safe."""


def _draw(tables: Tables, background: Background) -> Sheet:
    pairs, features = tables["pairs"], tables["vif"]
    names = [readable_feature(name) for name in features["feature"]]
    cell_mm = min(_CELL_MM, _MATRIX_MM / len(names))
    side_mm = max(32, cell_mm * len(names))
    longest = max(len(name) for name in names)
    sheet = new_sheet("double", side_mm + 12 + 1.2 * longest)
    matrix, strip = sheet.subplots(1, 2, sharey=True, width_ratios=[side_mm, _STRIP_MM])
    _correlations(matrix, pairs, cell_mm >= _NEEDS_MM)
    size = 6.5 if cell_mm > 3 else 5.5
    matrix.set_yticks(features["place"], names, fontsize=size)
    matrix.set_xticks(features["place"][:-1], names[:-1], rotation=90, fontsize=size)
    matrix.set_xlim(-0.5, len(names) - 0.5)
    matrix.set_ylim(len(names) - 0.5, -0.5)
    matrix.set_title(_heading(features.iloc[0], len(names), background), loc="left")
    _inflation(strip, features)
    return sheet


def _heading(row: pd.Series, shown: int, background: Background) -> str:
    cleaning = " + ".join(
        (
            background.label("outlier", row["outlier_method"]),
            background.label("imputation", row["imputation_method"]),
        )
    )
    some = "" if shown == row["n_features"] else f", {shown} of {row['n_features']} features"
    return f"{background.label('features', row['featurization'])}{some}\nafter {cleaning}"


def _correlations(axes: Axes, pairs: pd.DataFrame, with_numbers: bool) -> None:
    scale = ScalarMappable(Normalize(-1, 1), matplotlib.colormaps[_COLOURMAP])
    known, unknown = pairs[pairs["spearman"].notna()], pairs[pairs["spearman"].isna()]
    colours = scale.to_rgba(known["spearman"].to_numpy(float))
    squares(axes, known["x"], known["y"], list(colours), "pair")
    squares(axes, unknown["x"], unknown["y"], [PALE] * len(unknown), "undefined")
    if with_numbers:
        for row, colour in zip(records(known), colours, strict=True):
            axes.text(row["x"], row["y"], signed(row["spearman"]), ha="center", va="center",
                      fontsize=5.5, color=readable_on(colour))  # fmt: skip
    strip_axes(axes)
    bar = axes.figure.colorbar(
        scale, cax=axes.inset_axes((0.55, 0.9, 0.42, 0.045)), orientation="horizontal", ticks=[-1, 0, 1]
    )
    bar.set_label("Spearman", fontsize=5.5, labelpad=1)
    bar.ax.tick_params(labelsize=5.5, length=1.5, pad=1)
    bar.outline.set_visible(False)


def _inflation(axes: Axes, features: pd.DataFrame) -> None:
    """Bars of the variance inflation factors; where there is none, why."""
    known = features[features["vif"].notna()]
    axes.barh(known["place"], known["vif"] - 1, left=1, height=0.6, color=GREY, gid="vif")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1, max(10, 1.5 * known["vif"].max()) if len(known) else 10)
    look: dict[str, Any] = {"va": "center", "fontsize": 5.5, "xycoords": ("axes fraction", "data")}
    for row in records(features):
        words, x = (row["reason"], 0.02) if pd.isna(row["vif"]) else (f"{row['vif']:.3g}", 1.02)
        axes.annotate(words, (x, row["place"]), **look)
    axes.set_xlabel("Factor (log scale)")
    axes.set_title("Variance inflation", loc="left")
    axes.tick_params(axis="y", length=0)


FEATURE_CORRELATION = Figure(
    name="feature_correlation",
    title="How much the features say the same",
    caption=(
        "Features of the champion's feature set over the classified recordings, after ground-truth cleaning"
        " where that was run, otherwise after the champion's cleaning (lowest out-of-bag Brier score; ties:"
        " higher AUROC). Left: Spearman's rank correlation of every pair; grey: undefined, one of them is "
        "constant. Right: variance inflation factor, 1 / (1 - R squared) of a feature on all others of the "
        f"set; where there is none, why. Of more than {_MOST} features those with the strongest correlation "
        "to any other are shown; the factors are still on all."
    ),
    queries={"pairs": _PAIRS, "vif": _VIF},
    draw=_draw,
    needs=("feature_correlations", "feature_vif", "v_leaderboard"),
    part="Features",
    when_empty="neither ground truth nor the champion's cleaning has stored correlations of two features",
)
