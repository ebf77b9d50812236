"""Draw the figures from the results database: pictures, their data, and what they are."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the command; 0 when something was drawn, 1 when nothing could be, 2 when it cannot be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--db", type=Path, help="results database (default: data/public/foundation_plr_results.db)"
    )
    parser.add_argument("--only", default="", help="names of figures, comma separated (default: all)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "figures", help="folder to write to (default: figures)"
    )
    parser.add_argument("--format", default="png,pdf", help="of png, pdf, svg (default: png,pdf)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes to draw in (default: one per core)"
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
        names, formats = _split(options.only), _split(options.format)
        commit = code_commit()
        outcomes = draw_all(database, options.out, names, formats, workers=options.jobs, commit=commit)
        page = write_gallery(options.out)
    except (ResultsError, FigureError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if str(error.filename) == str(database):
            print(f"cannot read {database}: {error.strerror}; choose another --db", file=sys.stderr)
            return 1
        place = error.filename or options.out
        print(f"cannot write {place}: {error.strerror or error}; choose another --out", file=sys.stderr)
        return 2
    drawn = sum(not outcome.reason for outcome in outcomes)
    if not drawn:
        print("Nothing could be drawn.", file=sys.stderr)
        return 1
    print(f"{drawn} of {len(outcomes)} figures in {options.out}; look at {page}")
    return 0


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


if __name__ == "__main__":
    sys.exit(main())
