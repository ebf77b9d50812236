"""Which combinations the figures compare: the rules, on a few hand-written rows."""

from __future__ import annotations

import pandas as pd
import pytest
import simulated_results as simulated

from src.figures import forest
from src.figures.catalogue import read
from src.figures.recording import RECORDING
from src.figures.selection import CHOSEN
from src.figures.style import Background, journal_style
from src.registry import load_registry
from src.results.builder import new_results
from src.results.database import open_results


def chosen(tmp_path, rows):
    """Select among these combinations (outlier, imputation, Brier, AUROC); return run and role."""
    with open_results(built(tmp_path, rows)) as results:
        return results.query(CHOSEN).set_index("run_id")["role"].to_dict()


def in_forest(tmp_path, figure, rows):
    """Run shown for each method of a forest plot, with a star where it is not by the rule; best first."""
    with open_results(built(tmp_path, rows)) as results:
        table = results.query(figure.queries["estimates"])
    shown = table[table["chosen"]]
    return [
        (method, run if by_rule else f"{run} *")
        for method, run, by_rule in zip(shown["method"], shown["run_id"], shown["by_rule"], strict=True)
    ]


def built(tmp_path, rows):
    """Write a database with these combinations (outlier, imputation, Brier, AUROC)."""
    path = tmp_path / "x.db"
    columns = ["outlier_method", "imputation_method", "brier", "auroc"]
    table = pd.DataFrame(rows, columns=columns).assign(featurization="simple", classifier="CatBoost")
    table = table.assign(run_id=[f"r{i}" for i in range(len(rows))], n_iterations=9, n_subjects=9, n_cases=3)
    used = [
        ("pupil-gt", "pupil-gt"),
        ("LOF", "SAITS"),
        ("MOMENT-gt-finetune", "SAITS"),
        ("TimesNet-gt", "linear"),
    ]
    methods = simulated._methods(load_registry(), [("simple", *pair, "CatBoost") for pair in used])
    with new_results(path) as writer:
        writer.insert("essential_metrics", table)
        writer.insert("methods", pd.DataFrame(methods))
        writer.insert("provenance", pd.DataFrame([simulated._provenance("synthetic")]))
    return path


def test_one_row_per_role_in_the_order_of_showing(tmp_path):
    rows = [
        ("LOF", "SAITS", 0.20, 0.80),
        ("LOF", "pupil-gt", 0.11, 0.90),  # better, but uses the true signal
        ("pupil-gt", "pupil-gt", 0.12, 0.95),
        ("MOMENT-gt-finetune", "SAITS", 0.10, 0.85),
        ("LOF", "linear", 0.21, 0.80),  # SAITS is no classical method
        ("TimesNet-gt", "SAITS", 0.30, 0.80),
    ]
    assert chosen(tmp_path, rows) == {
        "r2": "Ground truth",
        "r3": "Champion",
        "r5": "Best deep learning",
        "r4": "Best classical",
    }


FOREST = [
    ("LOF", "SAITS", 0.20, 0.80),
    ("LOF", "pupil-gt", 0.11, 0.90),
    ("pupil-gt", "pupil-gt", 0.12, 0.95),
    ("pupil-gt", "SAITS", 0.10, 0.85),
    ("MOMENT-gt-finetune", "SAITS", 0.19, 0.85),
]


def test_forests_show_methods_without_truth_in_the_other_stage(tmp_path):
    for folder in ("o", "i", "c"):
        (tmp_path / folder).mkdir()
    assert in_forest(tmp_path / "o", forest.OUTLIER, FOREST) == [
        ("pupil-gt", "r2"),
        ("MOMENT-gt-finetune", "r4"),
        ("LOF", "r0"),
    ]
    assert in_forest(tmp_path / "i", forest.IMPUTATION, FOREST) == [("pupil-gt", "r2"), ("SAITS", "r4")]
    assert in_forest(tmp_path / "c", forest.CLASSIFIER, FOREST) == [("CatBoost", "r4")]


def test_a_forest_row_without_such_a_combination_is_marked(tmp_path):
    database = built(tmp_path, FOREST[1:2] + FOREST[3:])
    with open_results(database) as results, journal_style():
        tables = read(forest.OUTLIER, results)
        background = Background({}, results.query("SELECT * FROM methods"), tables["estimates"])
        sheet = forest.OUTLIER.draw(tables, background)
        sheet.draw_without_rendering()
    labels = [label.get_text() for label in sheet.axes[0].get_yticklabels()]
    assert [label.endswith("*") for label in labels] == [True, True, False]
    legend = sheet.legends[0]
    assert legend.get_texts()[-1].get_text() == "* best of all: no combination keeps to the rule"
    assert 0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= sheet.bbox.x1


@pytest.mark.parametrize(("second", "winner"), [(0.90, "r1"), (0.70, "r0")])
def test_ties_of_brier_go_to_the_higher_auroc(tmp_path, second, winner):
    roles = chosen(tmp_path, [("LOF", "SAITS", 0.1, 0.8), ("pupil-gt", "SAITS", 0.1, second)])
    assert "hampion" in roles[winner]


def test_undefined_brier_is_never_chosen(tmp_path):
    assert chosen(tmp_path, [("LOF", "SAITS", None, 0.99), ("LOF", "pupil-gt", 0.3, 0.6)]) == {
        "r1": "Champion"
    }


def test_the_recording_shown_has_the_median_share_of_lost_samples(tmp_path):
    lost = {"U001": 3, "U002": 1, "U003": 2}  # of four samples
    rows = [(code, i, i / 30, None if i < n else 5.0) for code, n in lost.items() for i in range(4)]
    table = pd.DataFrame(rows, columns=["recording_code", "sample", "time_s", "raw"])
    with new_results(tmp_path / "x.db") as writer:
        writer.insert("example_recordings", table)
        columns = {"outlier_method": "LOF", "imputation_method": "linear", "missing": True, "imputed": 1.0}
        writer.insert("example_imputations", table[["recording_code", "sample"]].assign(**columns))
        writer.insert("provenance", pd.DataFrame([simulated._provenance("synthetic")]))
    with open_results(tmp_path / "x.db") as results:
        assert set(results.query(RECORDING.queries["signal"])["recording_code"]) == {"U003"}
