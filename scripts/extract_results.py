"""Build the results database from the runs in a tracking store."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# Read by libraries as they are imported: the cores belong to the processes that evaluate runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

DATABASE = ROOT / "data" / "public" / "foundation_plr_results.db"


def main(arguments: list[str] | None = None) -> int:
    """Extract; 0 when a database was built, 1 when not (or a run rejected, --strict), 2 for a bad place."""
    options = _options(arguments)
    from src.results.extraction import ExtractionError, extract
    from src.results.parquet import export_parquet
    from src.results.publishing import PublishingError
    from src.results.selection import SelectionError
    from src.results.workers import WorkerDiedError, prefer_speed
    from src.tracking import TrackingError, default_tracking_uri

    prefer_speed()
    if options.artifact_root and not options.artifact_root.is_dir():
        print(f"there is no folder {options.artifact_root}; choose another --artifact-root", file=sys.stderr)
        return 2
    try:
        summary = extract(
            options.tracking_uri or default_tracking_uri(),
            options.db,
            options.artifact_root,
            options.cohort,
            options.sweep,
            rebuild=options.rebuild,
            dictionary=options.dictionary,
            smoothed_intervals=options.smoothed_intervals,
        )
    except (ExtractionError, PublishingError, SelectionError, TrackingError, WorkerDiedError) as error:
        print(f"No database was built: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        return _cannot_write(error, options.db, "--db or --dictionary" if options.dictionary else "--db")
    print(summary.text())
    if options.parquet:
        try:
            tables = export_parquet(options.db, options.parquet)
        except PublishingError as error:
            print(error, file=sys.stderr)
            return 2
        except OSError as error:
            return _cannot_write(error, options.parquet, "--parquet")
        print(f"{options.parquet}: {len(tables)} tables as Parquet")
    return 1 if options.strict and summary.n_rejected else 0


def _cannot_write(error: OSError, place: Path, option: str) -> int:
    """Say what cannot be written; every failure to read has a sentence of its own."""
    place = error.filename or place
    do = f"choose another {option} or make room there"
    print(f"cannot write {place}: {error.strerror or error}; {do}", file=sys.stderr)
    return 2


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tracking-uri",
        help="address of an MLflow store, path of its sqlite file, or an mlruns folder copied from anywhere "
        "(default: the store in this repository)",
    )
    parser.add_argument(
        "--artifact-root", type=Path, help="folder of the artifacts, where the store was moved"
    )
    parser.add_argument("--db", type=Path, default=DATABASE, help="the database (default: %(default)s)")
    parser.add_argument("--cohort", help="beginning of the cohort hash (default: the newest sweep's)")
    parser.add_argument("--sweep", help="id or name of a sweep (default: the newest)")
    parser.add_argument("--rebuild", action="store_true", help="evaluate every run, also what is unchanged")
    parser.add_argument("--parquet", type=Path, metavar="DIR", help="also write every table as Parquet there")
    parser.add_argument(
        "--dictionary", type=Path, metavar="FILE", help="the data dictionary (default: beside the database)"
    )
    parser.add_argument(
        "--smoothed-intervals",
        action="store_true",
        help="intervals for ici, e50, e90 and emax too: about a minute a run",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a run was rejected")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
