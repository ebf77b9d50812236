"""The files of a search for hyper-parameters: the study, its trials as a table, and its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.evaluation.tuning import JOURNAL, OPTIMISTIC, Tuned
from src.stage_files import write_rows


def write_tuning(folder: Path, tuned: Tuned) -> None:
    """Write what a search found into the folder `tuning`.

    `study.jsonl` (Optuna's journal; `optuna.storages.journal` reads it), `trials.csv`, `best.json`,
    `history.png` and `importance.png`.
    """
    import pandas as pd

    target = folder / "tuning"
    target.mkdir()
    (target / JOURNAL).write_text(tuned.journal, encoding="utf-8")
    pd.DataFrame(tuned.trials).to_csv(target / "trials.csv", index=False)
    best = {"brier": tuned.score, "optimistic": OPTIMISTIC} | tuned.parameters
    write_rows(target / "best.json", [best])
    _draw_history(tuned, target / "history.png")
    _draw_importances(tuned, target / "importance.png")


def _draw_history(tuned: Tuned, path: Path) -> None:
    from matplotlib.figure import Figure

    number, brier = (np.array([row[name] for row in tuned.trials]) for name in ("number", "brier"))
    sheet = Figure(figsize=(6, 3.5), layout="constrained")
    axes = sheet.subplots()
    axes.plot(number, brier, "o", color="#4477AA", markersize=4, label="trial")
    axes.step(number, np.minimum.accumulate(brier), where="post", color="#EE6677", label="best so far")
    axes.set(xlabel="Trial", ylabel="Brier score, cross-validated")
    axes.set_title("Optimistic: chosen on all labelled subjects")
    axes.legend(frameon=False)
    sheet.savefig(path, dpi=150)


def _draw_importances(tuned: Tuned, path: Path) -> None:
    from matplotlib.figure import Figure

    names = sorted(tuned.importances, key=lambda name: tuned.importances[name])
    sheet = Figure(figsize=(6, 1.2 + 0.4 * len(names)), layout="constrained")
    axes = sheet.subplots()
    axes.barh(names, [tuned.importances[name] for name in names], color="#4477AA")
    axes.set(xlabel="Share of the scatter of the Brier score", xlim=(0, 1))
    axes.set_title("Importance (functional ANOVA)" if names else "No importance: all trials score the same")
    sheet.savefig(path, dpi=150)
