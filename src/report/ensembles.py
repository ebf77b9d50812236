"""What the ensembles of a report are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.figures.style import FACTORS, records
from src.report.document import Row
from src.report.reading import Reading


def about_ensembles(reading: Reading) -> list[str]:
    """Who is in each ensemble of the table, and who is not and why."""
    stages = {stage: column for stage, column in FACTORS.items() if column in reading.factors}
    rows = reading.query("SELECT * FROM v_ensembles")
    shown = [
        stage in stages and method in set(reading.ranking.table[stages[stage]])
        for stage, method in zip(rows["stage"], rows["method"], strict=True)
    ]
    rows = rows.loc[np.array(shown, dtype=bool)]
    label = reading.background.label
    made: dict[str, dict[str, list[str]]] = {}  # ensemble -> what it is made of -> detectors before it
    for _, group in rows.groupby(["stage", "method", "outlier_method"], sort=False):
        members = records(group)
        texts = made.setdefault(label(members[0]["stage"], members[0]["method"]), {})
        detectors = texts.setdefault(_members(reading, members), [])
        detectors.append(label("outlier", members[0]["outlier_method"]))
    return [
        f"{ensemble}{' after ' + ', '.join(detectors) if len(texts) > 1 else ''} is made of {text}."
        for ensemble, texts in made.items()
        for text, detectors in texts.items()
    ]


def _members(reading: Reading, rows: Sequence[Row]) -> str:
    """Those used; behind them those not kept and left out, with their reasons."""
    listed: dict[str, list[str]] = {}
    for row in rows:
        known: str = f"F1 {row['quality']:.3f}" if pd.notna(row["quality"]) else ""
        about = known if row["status"] == "used" else row["reason"]
        name = reading.background.label(row["stage"], row["member"])
        listed.setdefault(row["status"], []).append(f"{name} ({about})" if about else name)
    parts = [", ".join(listed["used"])]
    parts += [f"{status}: {', '.join(names)}" for status, names in listed.items() if status != "used"]
    return "; ".join(parts)
