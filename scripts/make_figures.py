"""Draw the figures from the results database: pictures, their data, and what they are."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the command; 1 when nothing could be drawn or a figure failed, 2 when it cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--db", type=Path, help="results database (default: data/public/foundation_plr_results.db)"
    )
    parser.add_argument(
        "--only", type=_names, default=[], help="names of figures, comma separated (default: all)"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "figures", help="folder to write to (default: figures)"
    )
    parser.add_argument(
        "--format", type=_names, default=["png", "pdf"], help="of png, pdf, svg (default: png,pdf)"
    )
    parser.add_argument(
        "--jobs",
        type=_count,
        default=os.cpu_count() or 1,
        help="processes to draw in (default: one per core)",
    )
    parser.add_argument("--list", action="store_true", help="list the figures and stop")
    options = parser.parse_args()

    sys.path.insert(0, str(ROOT))
    from src.figures.catalogue import draw_all, find_figures
    from src.figures.gallery import write_gallery
    from src.figures.style import FigureError
    from src.provenance import code_commit
    from src.results.database import DEFAULT_DATABASE, ResultsError

    if options.list:
        for figure in find_figures():
            print(f"{figure.name:28}{figure.part:28}{figure.title}")
        return 0
    database = options.db or DEFAULT_DATABASE
    try:
        outcomes = draw_all(
            database,
            options.out,
            options.only,
            options.format,
            workers=options.jobs,
            commit=code_commit(),
        )
        page = write_gallery(options.out)
    except (ResultsError, FigureError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if str(error.filename) == str(database):
            print(f"cannot read {database}: {error.strerror}; choose another --db", file=sys.stderr)
            return 1
        place = error.filename or options.out
        print(
            f"cannot write {place}: {error.strerror or error}; choose another --out or make room there",
            file=sys.stderr,
        )
        return 2
    drawn = sum(not outcome.reason for outcome in outcomes)
    if not drawn:
        print("Nothing could be drawn.", file=sys.stderr)
        return 1
    print(f"{drawn} of {len(outcomes)} figures in {options.out}; look at {page}")
    return int(any(outcome.failed for outcome in outcomes))


def _names(text: str) -> list[str]:
    if names := [part.strip() for part in text.split(",") if part.strip()]:
        return names
    raise argparse.ArgumentTypeError("expected names separated by commas; leave the option out for all")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of processes, 1 or more, not {text!r}")


if __name__ == "__main__":
    sys.exit(main())
