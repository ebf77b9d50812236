"""Write into the README what `make test-faults` and `make fuzz` measured; both call it.

Without options the table is written again from the numbers that are kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "data" / "public" / "robustness.json"
README = ROOT / "README.md"
PARTS = {"faults": "make test-faults", "fuzz": "make fuzz"}
OUTCOMES = ("clean", "refused")  # of reading a file
BEGIN, END = "<!-- robustness -->", "<!-- /robustness -->"


class NotMeasured(RuntimeError):
    """Numbers or their place are missing; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the table is written, 2 when something is missing."""
    options = _options(arguments)
    try:
        numbers = _numbers(options)
        page = with_table(options.readme.read_text(encoding="utf-8"), table(numbers))
    except NotMeasured as error:
        print(error, file=sys.stderr)
        return 2
    _write(options.numbers, json.dumps(numbers, indent=1) + "\n")
    _write(options.readme, page)
    print(f"{options.readme}: {' and '.join(PARTS)} as in {options.numbers}")
    return 0


def _numbers(options: argparse.Namespace) -> dict[str, Any]:
    """The numbers that are kept, with those of new measurements in their place."""
    kept = _read(options.numbers, "") if options.numbers.exists() else {}
    new = {part: getattr(options, part) for part in PARTS}
    kept |= {part: _read(path, PARTS[part]) for part, path in new.items() if path is not None}
    for part, command in PARTS.items():
        if part not in kept:
            raise NotMeasured(f"{options.numbers} has no numbers of {part}; measure them: {command}")
    return {part: kept[part] for part in PARTS}


def _read(path: Path, command: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotMeasured(f"there is no {path}; measure it: {command}") from None


def table(numbers: dict[str, Any]) -> str:
    """Return the numbers as two tables, with the day and the commit on which each was measured."""
    faults, fuzz = (sorted(numbers[part].items()) for part in PARTS)
    survived = [(what, n["survived"], n["rows_lost"], _measured(n)) for what, n in faults]
    read = [
        (what, n["inputs"], *map(n["outcomes"].get, OUTCOMES, (0, 0)), n["slowest_s"], _measured(n))
        for what, n in fuzz
    ]
    lines = [
        *_rows(("What happened", "Times survived", "Rows of the database lost", "Measured"), survived),
        "",
        *_rows(("Spoilt files of", "Tried", "Read", "Refused with a reason", "Slowest, s", "Measured"), read),
    ]
    return "\n".join(lines)


def _measured(numbers: dict[str, Any]) -> str:
    return f"{numbers['date']}, {numbers['commit']}"


def _rows(names: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    header = list(names)
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join('---' for _ in header)} |"
    for row in rows:
        yield f"| {' | '.join(_shown(value) for value in row)} |"


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def with_table(page: str, new: str) -> str:
    """Return a page with the table between its two marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise NotMeasured(f"the page has no place for the table; write {BEGIN} and {END} where it belongs")
    return f"{before}{begin}\n\n{new}\n\n{end}{after}"


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--faults", type=Path, help="new numbers, as make test-faults leaves them")
    parser.add_argument("--fuzz", type=Path, help="new numbers, as make fuzz leaves them")
    parser.add_argument("--numbers", type=Path, default=NUMBERS, help="those kept (default: %(default)s)")
    parser.add_argument("--readme", type=Path, default=README, help="the page (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
