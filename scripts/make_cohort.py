"""Make or read the cohort of a data config, say what is in it, and draw one recording of it.

python scripts/make_cohort.py                          the synthetic cohort
python scripts/make_cohort.py data=cohort data.path=cohort.duckdb
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = (".png", ".pdf", ".svg")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("overrides", nargs="*", help="config overrides, such as data=no_effect data.seed=7")
    parser.add_argument(
        "--out", type=Path, default=Path("figures/first_trace.png"), help="picture (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.out.suffix not in PICTURES:
        parser.error(f"--out is {arguments.out}; expected a name that ends in {', '.join(PICTURES)}")

    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    from src.cohort import CohortError
    from src.cohort.file import read_cohort
    from src.settings import cohort_card
    from src.train import CONFIGS, register_resolvers

    register_resolvers()
    started = time.perf_counter()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            card = cohort_card(compose("train", arguments.overrides).data)
    except (HydraException, CohortError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    labels, ages = card.subjects["label"], card.subjects["age"]
    print(f"{card.path} ({card.source}, unit {card.unit}, {time.perf_counter() - started:.1f} s)")
    for name, rows in {
        "controls": labels == 0,
        "glaucoma": labels == 1,
        "no diagnosis": labels.isna(),
    }.items():
        rows = rows.fillna(False).to_numpy(dtype=bool)
        age = f", median age {ages[rows].median():.0f}" if ages[rows].notna().any() else ""
        print(f"  {int(rows.sum()):4d} {name}{age}")
    cohort, _ = read_cohort(card.path)
    try:
        draw(cohort, arguments.out)
    except OSError as error:
        reason = error.strerror or error
        print(
            f"cannot write {arguments.out}: {reason}; choose another --out or make room there",
            file=sys.stderr,
        )
        return 2
    print(f"One recording: {arguments.out}")
    return 0


def draw(cohort: Any, path: Path) -> None:
    """Draw the labelled recording with the median share of artefacts or lost samples."""
    import matplotlib
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from src.figures import style

    bad = ~np.isfinite(cohort.pupil) if cohort.truth_mask is None else cohort.truth_mask
    candidates = np.flatnonzero(cohort.subjects["label"].notna())
    row = candidates[np.argsort(bad[candidates].mean(axis=1))[len(candidates) // 2]]
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=(174 / 25.4, 70 / 25.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for colour, edges in cohort.light.items():
            shade = {"blue": style.BLUE_LIGHT, "red": style.RED_LIGHT}.get(colour, style.PALE)
            axes.axvspan(*edges[row], color=shade, lw=0, label=f"{colour} light")
        axes.plot(cohort.time, cohort.pupil[row], color=style.PALETTE[1], lw=0.8, label="as recorded")
        if cohort.truth_pupil is not None:
            axes.plot(cohort.time, cohort.truth_pupil[row], color=style.TRUTH, lw=0.8, label="clean signal")
        axes.set(
            xlabel="Time (s)", ylabel=f"Pupil size ({cohort.unit})", xlim=(cohort.time[0], cohort.time[-1])
        )
        stamp = "" if cohort.source == "measured" else f"  ({cohort.source.upper()} DATA)"
        axes.set_title(
            f"{cohort.subjects['recording'][row]}: {bad[row].mean():.1%} artefacts or lost{stamp}", loc="left"
        )
        axes.legend(loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.18))
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        figure.savefig(draft, dpi=200, format=path.suffix[1:])
        draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
