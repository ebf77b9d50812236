from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "figures"))
import simulated_results as simulated
from asked import HOSTILE, answer

from src.report.files import write_report


@pytest.fixture(scope="session")
def report_db(tmp_path_factory):
    """Simulated results: synthetic, two failed cells, one of them of a method with a hostile name."""
    path = tmp_path_factory.mktemp("db") / "results.db"
    return simulated.build(path, missing=(3, 10), rename={"LOF": HOSTILE})


@pytest.fixture(scope="session")
def report(report_db, tmp_path_factory):
    """The folder of a report on them."""
    out = tmp_path_factory.mktemp("report")
    write_report(answer(report_db), out)
    return out
