"""Turn a folder of raw pupillometer files into a cohort file for `data=cohort data.path=...`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from src.cohort.cohort import Cohort, CohortError
from src.cohort.device import import_recordings
from src.cohort.file import write_cohort

_LABELS_HELP = (
    "CSV with the columns file,subject_code,class_label,age and, if wanted, eye and recording_name; "
    "class_label is control, glaucoma or empty (no diagnosis), age in years or empty; recording_name (a date "
    "or a number) tells recordings of one eye apart. Recordings with the same subject_code belong together "
    "and are resampled together."
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when it is done, 1 when something cannot be read, 2 when not be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with one raw CSV file per recording")
    parser.add_argument("--labels", type=Path, required=True, help=_LABELS_HELP)
    parser.add_argument("--out", type=Path, required=True, help="the cohort file (DuckDB) to write")
    arguments = parser.parse_args(argv)
    try:
        cohort, lookup = import_recordings(arguments.folder, arguments.labels)
    except CohortError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        write_cohort(cohort, arguments.out, original_codes=lookup["original_code"])
    except OSError as error:
        print(f"cannot write {arguments.out}: {error.strerror}; choose another --out", file=sys.stderr)
        return 2
    print(_summary(cohort, arguments.out))
    return 0


def _summary(cohort: Cohort, out: Path) -> str:
    """Say what was imported."""
    labels = cohort.labels
    lines = [
        f"{out}: {len(cohort)} recordings of {cohort.subjects['code'].nunique()} subjects",
        f"  diagnosis: {np.sum(labels == 0)} control, {np.sum(labels == 1)} glaucoma, "
        f"{np.isnan(labels).sum()} none",
        f"  lost samples: {100 * np.isnan(cohort.pupil).mean():.1f} %",
    ]
    for colour, edges in cohort.light.items():
        (on_lo, off_lo), (on_hi, off_hi) = edges.min(axis=0), edges.max(axis=0)
        lines.append(f"  {colour}: on at {on_lo:.1f} to {on_hi:.1f} s, off at {off_lo:.1f} to {off_hi:.1f} s")
    # without the truth, which the default methods need
    lines.append(f"next: python -m src.train data=cohort data.path={out} outlier=LOF imputation=linear")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
