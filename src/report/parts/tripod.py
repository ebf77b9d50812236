"""The TRIPOD+AI checklist, as far as the database can fill it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from src.report.document import Part, Table, words
from src.report.reading import Reading

TITLE = "What would a publication have to report?"
CHECKLIST = Path(__file__).resolve().parents[1] / "tripod_ai.yaml"
NOT_HERE = "not from the database: the authors"
_ABOUT = (
    "TRIPOD+AI: Collins et al. BMJ 2024;385:e078378. The items are shortened and in other words: read the "
    "statement itself before ticking anything.",
    "An answer stands here only where the database holds it, and may be a part of what the item asks. "
    "Everything else is for the authors to say; nothing here says that an item is fulfilled.",
)


def answer(reading: Reading) -> Part:
    """Fill the checklist."""
    rows = pd.DataFrame([_fill(reading, item) for item in read_checklist()])
    columns = [
        words("item", "Item"),
        words("section", "Section"),
        words("asks", "Asks for"),
        words("answer", "From the database"),
        words("authors", "From the authors"),
    ]
    answered = int(rows["answered"].sum())
    line = f"{answered} of {len(rows)} items and sub-items have an answer, or part of one, from the database."
    table = Table(
        "tripod",
        "Checklist",
        "Facts from the database; no estimates but those named.",
        columns,
        rows,
        whole=True,
    )
    return Part("tripod", TITLE, [*_ABOUT, line], [table])


def read_checklist() -> list[dict[str, Any]]:
    """Items of the checklist: `item`, `section`, `asks`, and of `sql` and `authors` at least one."""
    return list(yaml.safe_load(CHECKLIST.read_text(encoding="utf-8")))


def _fill(reading: Reading, item: dict[str, Any]) -> dict[str, Any]:
    nothing: list[str] = []
    said, gone = reading.unless_gone("Not answered", partial(_from_database, item), nothing)
    return {
        "item": item["item"],
        "section": item["section"],
        "asks": item["asks"],
        "answer": "; ".join(said + gone) or NOT_HERE,
        "authors": item.get("authors"),
        "answered": bool(said),
    }


def _from_database(item: dict[str, Any], reading: Reading) -> list[str]:
    return [str(one) for one in reading.query(item["sql"]).iloc[:, 0].dropna()] if "sql" in item else []
