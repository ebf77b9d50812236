import pytest

from src.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def status(state: str, seconds: float, **metrics: float) -> dict:
    return {"state": state, "run_name": "a__b", "seconds": seconds, "metrics": metrics}


def test_one_line_per_combination_with_the_time_left(capsys):
    progress = Progress(10)
    progress.starts("a__b")
    progress.message(("stage", "outlier", "LOF"))
    progress.message(("epochs", 1, 20, "loss 0.3"))
    progress.message(("fits", 3, 10))
    progress.message(None)
    progress.ends(status("finished", 20.0, test_auroc=0.8765, test_brier=0.1))
    progress.ends(status("reused", 0.0))
    progress.ends(status("failed", 40.0) | {"error": "ValueError: no"})
    progress.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "    outlier LOF ...",
        "[ 1/10] finished a__b  AUROC 0.876  Brier 0.100  20.0 s  about 3 min left",
        "[ 2/10] reused   a__b  0.0 s  about 3 min left",  # (10 - 2) x 20 s: what is reused takes no time
        "[ 3/10] failed   a__b  ValueError: no  40.0 s  about 4 min left",  # (10 - 3) x 30 s
    ]


def test_epochs_are_on_the_bar(monkeypatch, capsys):
    monkeypatch.setattr("src.progress._no_terminal", lambda: False)
    progress = Progress(1)
    progress.starts("a__b")
    progress.message(("stage", "imputation", "CSDI"))
    progress.message(("epochs", 5, 20, "loss 0.3"))
    progress.close()
    shown = capsys.readouterr().err
    assert "imputation CSDI  25%" in shown
    assert "5/20 epochs" in shown
    assert "loss 0.3" in shown


def test_several_workers_share_what_is_left(capsys):
    progress = Progress(5, n_workers=2)
    for _ in range(4):
        progress.ends(status("finished", 20.0))
    lines = [line.split("s  ")[1] for line in capsys.readouterr().out.splitlines()]
    # two at once do four in the time of two; the last one is done by one worker
    assert lines == ["about 40 s left", "about 30 s left", "about 20 s left", "about 20 s left"]
