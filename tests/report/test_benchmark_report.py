"""The report against the database it was made from."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import simulated_results as simulated
from asked import HOSTILE, answer, changed, said, select, shown
from markupsafe import escape

from src.figures.style import journal_style
from src.registry import load_registry
from src.report.charts import draw_chart
from src.report.files import as_data, write_report
from src.report.question import BenchmarkError
from src.report.text import as_text

ROOT = Path(__file__).resolve().parents[2]


def test_json_and_csv_hold_the_values_of_the_database(report_db, report):
    truth = select(report_db, "SELECT * FROM essential_metrics").set_index("run_id")
    ranking = json.loads((report / "benchmark_results.json").read_text())["ranking"]
    rows = pd.read_csv(report / "benchmark_results.csv").set_index("run_id")
    assert len(ranking) == len(rows) == len(truth) == 34
    for column in ("auroc", "auroc_lo", "auroc_refit_hi", "brier", "brier_hi", "cal_slope", "net_benefit_20"):
        assert {row["run_id"]: row[column] for row in ranking} == truth[column].to_dict()
        assert rows[column].to_dict() == truth[column].to_dict()
    assert [row["auroc"] for row in ranking] == sorted(truth["auroc"], reverse=True)


def test_champion_is_the_lowest_brier_whatever_ranks(report_db):
    best = select(report_db, "SELECT run_id FROM essential_metrics ORDER BY brier, auroc DESC LIMIT 1")
    for metric in ("auroc", "cal_slope"):
        benchmark = answer(report_db, metric=metric)
        assert benchmark.champion["run_id"] == best["run_id"].iloc[0]
        assert any(
            note.startswith("AUROC alone never picks a winner; the champion")
            for note in said(benchmark, "leaderboard")
        )


def test_what_choosing_the_best_adds_stands_below_the_ranking(report_db, tmp_path):
    database = changed(
        report_db,
        tmp_path,
        "DELETE FROM winners_curse",
        "DELETE FROM detectable_difference",
        "DELETE FROM confidence_set",
        """INSERT INTO winners_curse VALUES ('brier', 'r0000', .1, 'r0000', .11, .13, .02, .1, .2, 1000),
           ('auroc', 'r0000', .9, 'r0001', .91, .88, .03, .8, .9, 1000)""",
        "INSERT INTO detectable_difference VALUES ('auroc', .015, .8, .05, .042, 16, 44)",
        """INSERT INTO confidence_set SELECT 'brier', run_id, .5, run_id < 'r0005' FROM essential_metrics""",
    )
    by_auroc, by_slope = (
        said(answer(database, metric=name), "leaderboard") for name in ("auroc", "cal_slope")
    )
    assert any(
        "AUROC of the best combination is optimistic by 0.030" in line and "0.910 becomes 0.880" in line
        for line in by_auroc
    )
    assert any("16 cases and 44 controls" in line and "0.042 in AUROC" in line for line in by_auroc)
    assert any(line.startswith("4 of 34 combinations cannot be told") for line in by_auroc)
    assert any("Brier score of the best combination is optimistic by 0.020" in line for line in by_slope)
    assert not any("must differ by" in line for line in by_slope)


def test_the_best_without_truth_stands_beside_a_champion_with_truth(report_db):
    sql = """SELECT run_id FROM essential_metrics WHERE 'pupil-gt' NOT IN (outlier_method, imputation_method)
             ORDER BY brier, auroc DESC LIMIT 1"""
    best = select(report_db, sql)["run_id"].iloc[0]
    benchmark = answer(report_db)
    assert benchmark.champion["uses_truth"]
    assert benchmark.practical["run_id"] == best
    words = f"of those that need no truth: {benchmark.reading.name(benchmark.practical)}: Brier "
    assert words in said(benchmark, "leaderboard")[0]
    data = as_data(benchmark)
    assert (data["champion"]["uses_truth"], data["champion_without_truth"]["run_id"]) == (True, best)


@pytest.mark.parametrize(
    ("deleted", "words"),
    [
        ("'pupil-gt' IN (outlier_method, imputation_method)", "It needs no ground truth."),
        ("'pupil-gt' NOT IN (outlier_method, imputation_method)", "and so does every other combination."),
    ],
)
def test_a_champion_without_rivals_of_the_other_kind_says_so(report_db, tmp_path, deleted, words):
    database = changed(report_db, tmp_path, f"DELETE FROM essential_metrics WHERE {deleted}")
    assert said(answer(database), "leaderboard")[0].endswith(words)


@pytest.mark.parametrize("stage", ["classification", "imputation", "outlier_detection"])
def test_what_uses_truth_is_marked_and_explained(report_db, stage):
    benchmark = answer(report_db, stage=stage)
    table = benchmark.reading.ranking.table
    stages = [
        name for name in ("outlier_method", "imputation_method") if name in benchmark.reading.ranking.table
    ]
    truth = table[stages].eq("pupil-gt").any(axis=1)
    assert truth.any() and not truth.all()
    ranked = benchmark.parts[1]
    rows = [row[0] for row in shown(benchmark, ranked.name, "ranking")[1]]
    assert [rank.endswith("*") for rank in rows if rank[0].isdigit() or rank[0] == "r"] == truth.tolist()
    assert ranked.below[0] == "Rank with *: uses the ground truth; cannot be had in practice."
    assert table["uses_truth"].tolist() == truth.tolist()
    assert [row["uses_truth"] for row in as_data(benchmark)["ranking"]] == truth.tolist()


def test_cautions_stand_below_the_ranking_of_text_and_page(report_db, report):
    text, page = ((report / f"benchmark_report.{kind}").read_text() for kind in ("txt", "html"))
    lines = answer(report_db).part("leaderboard").below
    assert any("paired" in line for line in lines) and any("Winner's curse" in line for line in lines)
    for line in lines:
        assert text.index("\nRanking by") < text.index(f"- {line}") < text.index("\nAll metrics")
        assert (
            page.index("<h3>Ranking by") < page.index(f"<li>{escape(line)}") < page.index("<h3>All metrics")
        )


def test_medians_stand_beside_means(report_db):
    truth = select(report_db, "SELECT * FROM essential_metrics").set_index("run_id")
    benchmark = answer(report_db)
    table = benchmark.reading.ranking.table.set_index("run_id")
    for metric in ("cal_slope", "cal_intercept_joint", "oe_ratio"):
        assert table[f"{metric}_median"].to_dict() == truth[f"{metric}_median"].to_dict()
    head, rows = shown(benchmark, "leaderboard", "ranking")
    median = truth["cal_slope_median"][benchmark.reading.ranking.table["run_id"].iloc[0]]
    first = next(row for row in rows if row[0] in ("1", "1*"))
    place = head.index("Calibration slope")
    assert head[place + 1] == "Calibration slope (median)"
    assert first[place + 1] == f"{median:.3f}"
    everything = shown(benchmark, "leaderboard", "all_metrics")[0]
    assert {"Calibration intercept (joint) (median)", "O:E ratio (median)"} <= set(everything)


def test_text_shows_brier_slope_intervals_age_and_stamp(report_db):
    text = as_text(answer(report_db))
    lines = text.splitlines()
    assert lines[0] == "SYNTHETIC DATA"
    head = next(line for line in lines if line.startswith("Rank "))
    assert head.index("AUROC") < head.index("Brier score") < head.index("Calibration slope")
    first = next(line for line in lines if line.startswith("1* "))
    assert len(re.findall(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", first)) == 3
    assert any(line.startswith("age only ") for line in lines)
    titles = [part.title for part in answer(report_db).parts]
    assert len(titles) == 10
    assert [f"{number}. {title}" for number, title in enumerate(titles, 1)] == [
        line for line in lines if re.match(r"\d+\. ", line)
    ]


def test_missing_cells_are_named(report_db, report):
    benchmark = answer(report_db)
    coverage = benchmark.part("ran").lines[1]
    assert coverage.startswith("Coverage: 34 of 36 planned combinations have results; missing: ")
    assert f"{HOSTILE} + Ground truth + XGBoost (failed)" in coverage
    assert len(as_data(benchmark)["missing_cells"]) == 2
    assert "no memory" in (report / "benchmark_report.html").read_text()


def test_deleted_runs_are_not_ranked(report_db, tmp_path):
    database = changed(
        report_db,
        tmp_path,
        "UPDATE coverage SET status = 'missing', run_id = NULL WHERE classifier = 'CatBoost'",
        "DELETE FROM metric_estimates USING runs WHERE runs.run_id = metric_estimates.run_id"
        " AND classifier = 'CatBoost'",
    )
    benchmark = answer(database)
    assert set(benchmark.reading.ranking.table["classifier"]) == {"LogisticRegression", "XGBoost"}
    head, rows = shown(benchmark, "ran", "missing_cells")
    status = [row[head.index("Status")] for row in rows if row[head.index("Classifier")] == "CatBoost"]
    assert status == ["missing"] * 12
    assert benchmark.part("ran").lines[1].endswith("and 8 more.")


def test_page_is_self_contained_and_escapes(report_db, report):
    page = (report / "benchmark_report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert not re.search(r"url\(|@import|//[a-z]+\.[a-z]", page)
    assert HOSTILE not in page and "<script>x" not in page
    assert str(escape(HOSTILE)) in page
    assert "SYNTHETIC DATA" in page
    assert page.count("<script>") == page.count("</script>") == 1
    assert len(list(report.glob("*.png"))) == 12
    drawn = sum(len(part.pictures) for part in answer(report_db).parts)
    assert page.count("data:image/png;base64,") == drawn > 5


@pytest.mark.parametrize(("source", "stamp"), [("measured", ""), ("unstated", "SOURCE UNSTATED")])
def test_stamp_follows_the_source(report_db, tmp_path, source, stamp):
    database = changed(report_db, tmp_path, f"UPDATE provenance SET source = '{source}'")
    write_report(answer(database, stage="outlier_detection"), tmp_path)
    text, page = ((tmp_path / f"benchmark_report.{kind}").read_text() for kind in ("txt", "html"))
    assert ('class="stamp"' in page) == bool(stamp)
    assert text.startswith(stamp or "Outlier detection")


def test_identical_predictions_are_a_warning(report_db, tmp_path):
    database = changed(report_db, tmp_path, "INSERT INTO identical_predictions VALUES ('r0000', 'r0001')")
    warnings = [note for note in said(answer(database), "leaderboard") if note.startswith("WARNING")]
    assert len(warnings) == 1
    assert "Ground truth + Ground truth + Logistic regression" in warnings[0]
    assert "Ground truth + Ground truth + XGBoost" in warnings[0]


def test_cohort_without_ages_says_so(report_db, tmp_path):
    database = changed(
        report_db,
        tmp_path,
        "UPDATE baseline_metrics SET auroc = NULL, brier = NULL, reason = 'no ages'",
        "DELETE FROM runs WHERE kind = 'baseline'",
    )
    benchmark = answer(database)
    assert "Age only: no value (no ages)." in said(benchmark, "leaderboard")
    assert json.dumps(as_data(benchmark), allow_nan=False)


def test_age_beside_the_features_is_named_with_its_cleaning(report_db, tmp_path):
    cleaned = "SET outlier_method = 'LOF', imputation_method = 'linear' WHERE featurization = 'simple-age'"
    benchmark = answer(changed(report_db, tmp_path, f"UPDATE baseline_metrics {cleaned}"))
    name = "Hand-crafted (simple) + age"
    assert any(
        note.startswith(f"{name} (LOF + Linear + Logistic regression): AUROC 0.")
        for note in said(benchmark, "leaderboard")
    )
    rows = [row[:4] for row in shown(benchmark, "leaderboard", "ranking")[1]]
    assert [name.lower(), "LOF", "Linear", "Logistic regression"] in rows


def test_a_failed_or_absent_baseline_is_said(report_db, tmp_path):
    gone = ["DELETE FROM baseline_metrics", "DELETE FROM runs WHERE kind = 'baseline'"]
    absent = answer(changed(report_db, tmp_path, *gone))
    assert "Age only: no age-only baseline in this database." in said(absent, "leaderboard")
    excluded = [
        ("f0", "age__none__none__LogisticRegression", "failed", "classifier: ValueError: no convergence"),
        ("r0003", "simple__pupil-gt__linear__LogisticRegression", "failed", "imputation: no memory"),
        ("f2", "age__none__none__LogisticRegression", "other cohort", "cohort beef"),
    ]
    failed = [
        f"INSERT INTO excluded_runs (run_id, run_name, reason, detail) VALUES {row}" for row in excluded
    ]
    without = said(answer(changed(report_db, tmp_path, *gone, *failed)), "leaderboard")
    assert (
        "Age only: no age-only baseline in this database. Runs that failed or were left out: "
        "age__none__none__LogisticRegression (failed: classifier: ValueError: no convergence)."
    ) in without
    still_there = said(answer(changed(report_db, tmp_path, *failed)), "leaderboard")
    assert not any("no convergence" in line for line in still_there)


def test_models_keep_only_those_named(report_db):
    assert set(answer(report_db, models=["XGBoost"]).reading.ranking.table["classifier"]) == {"XGBoost"}
    only = answer(report_db, stage="imputation", models=["SAITS", "linear"])
    assert set(only.reading.ranking.table["imputation_method"]) == {"SAITS", "linear"}
    with pytest.raises(BenchmarkError, match=r"'TabM'.*Valid: CatBoost, LogisticRegression, XGBoost"):
        answer(report_db, models=["TabM"])


def test_dataset_is_a_source_or_a_hash(report_db):
    for dataset in ("synthetic", "c0ffee", "C0FFEE0123"):
        assert len(answer(report_db, dataset).reading.ranking.table) == 34
    with pytest.raises(BenchmarkError, match=r"no dataset 'measured'.*c0ffee0123456789 \(source synthetic\)"):
        answer(report_db, "measured")


def test_stages_of_detection_and_imputation(report_db, tmp_path):
    detection = answer(report_db, stage="outlier_detection").reading.ranking.table
    assert detection["rank"].tolist()[:3] == [1, 2, 3]
    assert detection["f1"].tolist() == [0.8, 0.7, 0.6, 1.0]
    assert detection["outlier_method"].iloc[-1] == "pupil-gt"
    assert pd.isna(detection["rank"].iloc[-1])
    imputation = answer(report_db, metric="test_MAE")
    assert imputation.reading.ranking.table["reference"].sum() == 4
    assert not imputation.reading.ranking.table["rank"].isna()[:8].any()
    names = {path.name for path in write_report(imputation, tmp_path)}
    assert {"benchmark_mae.png", "benchmark_mre.png", "benchmark_mse.png", "benchmark_report.html"} <= names


def test_checks_of_detectors_pass_or_fail(report_db, tmp_path):
    # Flagged of hippus: 0, 1, 2 and 3 %; below 2 % are the first two.
    database = changed(
        report_db, tmp_path, "UPDATE outlier_quality SET f1 = 0.09 WHERE outlier_method = 'SubPCA'"
    )
    benchmark = answer(database, stage="outlier_detection")
    head, rows = shown(benchmark, "cleaning", "detectors")
    assert {row[0]: row[1:6] for row in rows} == {
        "Ground truth": ["1.000", "0.100", "pass", "0.00%", "pass"],
        HOSTILE: ["0.800", "0.100", "pass", "1.00%", "pass"],
        "One-class SVM": ["0.700", "0.100", "pass", "2.00%", "fail"],
        "SubPCA": ["0.090", "0.100", "fail", "3.00%", "fail"],
    }
    assert head[:6] == [
        "Outlier method", "F1", "F1 of chance", "Better than chance", "Flagged of hippus", "Below 2 %",
    ]  # fmt: skip
    assert "synthetic recordings without light" in as_text(benchmark)
    told = next(part for part in as_data(benchmark)["parts"] if part["name"] == "cleaning")["tables"][0]
    assert [row["leaves_hippus"] for row in told["rows"]] == [True, True, False, False]


def test_checks_of_imputers_stand_beside_linear(report_db):
    truth = select(
        report_db,
        "SELECT * FROM imputation_quality WHERE imputation_method = 'SAITS'",
    )
    truth = truth.set_index(["outlier_method", "gap"])
    for stage in ("imputation", "classification"):
        rows = answer(report_db, stage=stage).part("cleaning").table("imputers").rows
        rows = rows[rows["imputation_method"] == "SAITS"].set_index(["outlier_method", "gap"])
        assert list(rows.index[:4].get_level_values("gap")) == [
            "all",
            "up to 0.3 s",
            "0.3 to 1 s",
            "longer than 1 s",
        ]
        assert set(rows.index) == set(truth.index)
        for column in ("mae", "mae_linear", "n_samples"):
            assert rows[column].to_dict() == truth[column].to_dict()
        assert rows["better_than_linear"].to_dict() == (truth["mae"] < truth["mae_linear"]).to_dict()
    head, cells = shown(answer(report_db, stage="imputation"), "cleaning", "imputers")
    assert {row[head.index("Better than linear")] for row in cells} == {"yes", "no"}


def test_a_stage_without_results_says_so(report_db, tmp_path):
    database = changed(report_db, tmp_path, "DELETE FROM outlier_quality")
    with pytest.raises(BenchmarkError, match="no results for outlier_detection"):
        answer(database, stage="outlier_detection")


def test_chart_of_many_combinations_shows_the_best_without_overlaps(tmp_path):
    factors = simulated.DEMO | {"outlier": ["pupil-gt", *simulated.many_names("outlier", 4)]}
    benchmark = answer(simulated.build(tmp_path / "x.db", factors=factors))
    with journal_style():
        sheet = draw_chart(benchmark.reading, load_registry().metric("brier"))
        sheet.draw_without_rendering()
    axes = sheet.axes[0]
    labels = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert len(labels) == 40
    assert all(low.y1 < high.y0 + 0.5 for high, low in itertools.pairwise(labels))
    assert all(box.x0 >= 0 for box in labels)
    values = next(group for group in axes.collections if group.get_gid() == "estimate").get_offsets()[:, 0]
    assert values.tolist() == sorted(benchmark.reading.ranking.table["brier"])[:40]


def test_charts_of_an_earlier_report_do_not_stay(report_db, tmp_path):
    foreign = {name: tmp_path / name for name in ("benchmark_mine.png", "notes.txt", "auroc.png")}
    for path in foreign.values():
        path.write_text("keep me")
    first = write_report(answer(report_db, stage="imputation"), tmp_path)
    old = {path.name for path in first if path.suffix == ".png"}
    second = write_report(answer(report_db, stage="outlier_detection"), tmp_path)
    assert "benchmark_mae.png" in old
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in second} | set(foreign)
    assert all(path.read_text() == "keep me" for path in foreign.values())


@pytest.mark.parametrize(
    "listed",
    ["no JSON", "[]", '{"charts": 5}', '{"charts": [["x"], "notes.txt", "../benchmark_x.png", "/etc/x"]}'],
)
def test_only_charts_beside_the_report_are_removed(report_db, tmp_path, listed):
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "benchmark_x.png", out / "notes.txt"):
        path.write_text("keep me")
    (out / "benchmark_results.json").write_text(listed)
    write_report(answer(report_db, stage="outlier_detection"), out)
    assert (tmp_path / "benchmark_x.png").exists() and (out / "notes.txt").exists()


def test_command(report_db, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "run_benchmark.py"), "--out", str(tmp_path / "out")]
    good = subprocess.run(
        [*command, "--db", str(report_db), "--stage", "outlier_detection"], capture_output=True, text=True
    )
    assert good.returncode == 0, good.stderr
    assert "Ranking by F1 (higher is better)" in good.stdout
    bad = subprocess.run([*command, "--db", str(tmp_path / "no.db")], capture_output=True, text=True)
    assert bad.returncode == 1
    assert "no.db" in bad.stderr
    assert "python scripts/extract_results.py" in bad.stderr


def test_a_reader_who_leaves_costs_no_report(report_db, tmp_path):
    command = [sys.executable, "-u", str(ROOT / "scripts" / "run_benchmark.py"), "--db", str(report_db)]
    run = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out"), "--stage", "outlier_detection"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    run.stdout.close()
    assert run.wait(120) != 0
    assert (tmp_path / "out" / "benchmark_report.html").exists()


def test_command_says_where_it_cannot_write(report_db, tmp_path):
    (tmp_path / "file").write_text("x")
    command = [sys.executable, str(ROOT / "scripts" / "run_benchmark.py"), "--db", str(report_db)]
    run = subprocess.run([*command, "--out", str(tmp_path / "file")], capture_output=True, text=True)
    assert run.returncode == 2
    sentence = "File exists; choose another --out or make room there"
    assert run.stderr == f"cannot write {tmp_path / 'file'}: {sentence}\n"


def test_command_says_what_it_cannot_read(report_db, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "run_benchmark.py"), "--out", str(tmp_path / "out")]
    unreadable = tmp_path / ("x" * 300)  # as good as a folder without permission, and the same for root
    run = subprocess.run([*command, "--db", str(unreadable)], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == f"cannot read {unreadable}: File name too long; choose another --db\n"
    locked = tmp_path / "locked.db"
    shutil.copy(report_db, locked)
    with duckdb.connect(str(locked)):
        run = subprocess.run([*command, "--db", str(locked)], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith(str(locked)) and "lock" in run.stderr and run.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_ensembles_say_what_they_are_made_of(report_db, tmp_path):
    def row(stage, method, after, member, status, reason="NULL", quality="NULL"):
        return f"('{stage}', '{method}', '{after}', '{member}', '{status}', {reason}, {quality}, 'r')"

    rows = [
        row("outlier", "SubPCA", "none", "OneClassSVM", "used", quality="0.75"),
        row("outlier", "SubPCA", "none", "PROPHET", "left out", "'no package'"),
        row("outlier", "SubPCA", "none", "pupil-gt", "not kept", "'F1 0.2'", "0.2"),
        row("outlier", "elsewhere", "none", "LOF", "used"),
        *(row("imputation", "SAITS", after, "linear", "used") for after in ("pupil-gt", "SubPCA")),
        row("imputation", "SAITS", "OneClassSVM", "pupil-gt", "used"),
    ]
    none = "DELETE FROM ensemble_members"
    database = changed(report_db, tmp_path, none, f"INSERT INTO ensemble_members VALUES {', '.join(rows)}")
    lines = [line for line in said(answer(database), "cleaning") if "is made of" in line]
    assert lines == [
        "SubPCA is made of One-class SVM (F1 0.750); not kept: Ground truth (F1 0.2); "
        "left out: PROPHET (no package).",
        "SAITS after Ground truth, SubPCA is made of Linear.",
        "SAITS after One-class SVM is made of Ground truth.",
    ]
    assert "elsewhere" not in as_text(answer(database))
    detection = said(answer(database, stage="outlier_detection"), "quality")
    detection = [line for line in detection if "is made of" in line]
    assert detection == lines[:1]
    without = answer(changed(report_db, tmp_path, none))
    assert not [line for line in said(without, "cleaning") if "is made of" in line]
