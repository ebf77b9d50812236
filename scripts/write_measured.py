"""Write measured numbers into README.md and ARCHITECTURE.md, and keep them in data/public/measured.json.

`make test-faults`, `make fuzz` and `python -m benchmarks --only costs` measure them. Without options the
tables are written again from the numbers that are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "data" / "public" / "measured.json"
PARTS = {
    "faults": "make test-faults",
    "fuzz": "make fuzz",
    "costs": ".venv/bin/python -m benchmarks --only costs",
}
OUTCOMES = ("clean", "refused", "no end")  # of reading a file


class NotMeasured(RuntimeError):
    """Numbers or their place are missing; the message says what to do."""


class Table(NamedTuple):
    """A table of a page, between two marks of this name, and the parts of the numbers it shows."""

    page: str
    mark: str
    parts: tuple[str, ...]
    lines: Callable[..., Iterator[str]]

    def into(self, page: str, numbers: Mapping[str, Any]) -> str:
        """Return the page with the table in its place."""
        begin, end = f"<!-- {self.mark} -->", f"<!-- /{self.mark} -->"
        before, found, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise NotMeasured(
                f"{self.page} has no place for the table; write {begin} and {end} where it belongs"
            )
        table = "\n".join(self.lines(*(numbers[part] for part in self.parts)))
        return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the tables are written, 2 when something is missing."""
    options = _options(arguments)
    try:
        numbers = _numbers(options)
        pages = {table.page: (options.pages / table.page).read_text(encoding="utf-8") for table in TABLES}
        for table in TABLES:
            pages[table.page] = table.into(pages[table.page], numbers)
    except NotMeasured as error:
        print(error, file=sys.stderr)
        return 2
    _write(options.numbers, json.dumps(numbers, indent=1) + "\n")
    for name, text in pages.items():
        _write(options.pages / name, text)
    print(f"{' and '.join(pages)}: as in {options.numbers}")
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


def _robustness(faults: Mapping[str, Any], fuzz: Mapping[str, Any]) -> Iterator[str]:
    survived = [(what, n["survived"], n["rows_lost"], _measured(n)) for what, n in sorted(faults.items())]
    read = [
        (what, n["inputs"], *(n["outcomes"].get(o, 0) for o in OUTCOMES), n["slowest_s"], _measured(n))
        for what, n in sorted(fuzz.items())
    ]
    yield from _rows(("What happened", "Times survived", "Rows of the database lost", "Measured"), survived)
    yield ""
    names = (
        "Spoilt files of",
        "Tried",
        "Read",
        "Refused with a reason",
        "Without end",
        "Slowest, s",
        "Measured",
    )
    yield from _rows(names, read)


def _costs(costs: Mapping[str, Any]) -> Iterator[str]:
    rows = [(row["measure"], f"{_significant(row['value'])} {row['unit']}".strip()) for row in costs["rows"]]
    yield from _rows(("What", "Cost"), rows)
    yield ""
    yield f"Measured on {costs['measured_at'][:10]} at {costs['code_commit']}, {costs['cores']} cores."


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


TABLES = (
    Table("README.md", "robustness", ("faults", "fuzz"), _robustness),
    Table("ARCHITECTURE.md", "costs", ("costs",), _costs),
)


def _measured(numbers: Mapping[str, Any]) -> str:
    return f"{numbers['date']}, {numbers['commit']}"


def _rows(names: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    header = list(names)
    yield f"| {' | '.join(header)} |"
    yield f"| {' | '.join('---' for _ in header)} |"
    for row in rows:
        yield f"| {' | '.join(_shown(value) for value in row)} |"


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for part, command in PARTS.items():
        parser.add_argument(f"--{part}", type=Path, help=f"new numbers, as left by {command}")
    parser.add_argument("--numbers", type=Path, default=NUMBERS, help="those kept (default: %(default)s)")
    parser.add_argument("--pages", type=Path, default=ROOT, help="folder of the pages (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
