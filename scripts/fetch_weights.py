"""Fetch pretrained weights, at a fixed revision and verified by their SHA-256.

Files lie in data/weights/NAME, or in $PLR_WEIGHTS/NAME where that environment variable is set. A folder
filled by hand is used as it is: whether its files are the published ones is for its owner to know.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when all is there, 1 when something could not be had, 2 for a wrong name."""
    from src.networks.fetching import FetchError, fetch
    from src.networks.weights import find_weights, load_weights, place_of
    from src.networks.weights_table import overview, readme_table

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(load_weights())}")
    parser.add_argument("--list", action="store_true", help="show all weights, and which are on this machine")
    parser.add_argument("--table", action="store_true", help="print the table of README.md")
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="put them in DIR/NAME; set PLR_WEIGHTS=DIR to use them"
    )
    options = parser.parse_args(arguments)
    if options.table:
        print(readme_table())
        return 0
    if options.list or not options.names:
        print(overview())
        return 0 if options.list else 2
    try:
        wanted = [find_weights(name) for name in options.names]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for weights in wanted:
        folder = options.to / weights.name if options.to else place_of(weights.name)
        source = f"{weights.repository} at {weights.revision[:12]}"
        print(f"{weights.name}: {weights.licence}; {weights.size_mb}; {source}")
        try:
            fetch(weights, folder)
        except FetchError as error:
            print(f"{weights.name}: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(
                f"cannot write {error.filename or folder}: {error.strerror}; choose another --to",
                file=sys.stderr,
            )
            return 1
        print(f"  in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
