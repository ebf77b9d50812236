"""Hold two stores against each other that the same sweeps went into: the same results, no work done twice.

Results are the same to the last bit, or this says what differs and exits with 1. Of one store alone: whether
work was done twice or left unfinished.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from src.results.stores import Store
    from src.tracking import StoredRun

ARRAYS = ("y_prob_all", "y_prob_apparent", "feature_importance", "permutation_importance", "inbag_counts")
ESTIMATES = """
    SELECT runs.* EXCLUDE (run_id, started_at, duration_s, fit_seconds, outlier_run_id, imputation_run_id,
           featurization_run_id), estimates.* EXCLUDE (run_id)
    FROM runs JOIN metric_estimates AS estimates USING (run_id) ORDER BY ALL
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when nothing differs."""
    options = _options(arguments)
    addresses = [options.store, options.other] if options.other else [options.store]
    from src.results.stores import open_store
    from src.tracking import TrackingError

    try:
        stores = [open_store(uri) for uri in addresses]
    except TrackingError as error:
        print(error, file=sys.stderr)
        return 1
    wrong = [f"{uri}: {line}" for uri, s in zip(addresses, stores, strict=True) for line in _unsound(s)]
    if options.other:
        wrong += _differences(*stores)
    if options.writers > (n := _writers_at_once(stores[0])):
        wrong.append(f"{options.store}: {n} processes at most were at work at once, not {options.writers}")
    if options.databases:
        wrong += _different_estimates(*options.databases)
    verdict = "the same" if options.other else "in order"
    print("\n".join(wrong) or f"{verdict}: {len(_finished(stores[0]))} finished runs, {n} at a time at most")
    return int(bool(wrong))


def _unsound(store: Store) -> list[str]:
    """What no store may have: a result computed twice, a run that never ended."""
    keys = Counter(run.tags["stage_key"] for run in store.runs if _has_key(run))
    twice = [f"the result {key} was computed {n} times" for key, n in keys.items() if n > 1]
    return twice + [f"run {run.run_id} never ended" for run in store.runs if run.status == "RUNNING"]


def _has_key(run: StoredRun) -> bool:
    return run.status == "FINISHED" and "stage_key" in run.tags


def _finished(store: Store) -> dict[str, StoredRun]:
    return {run.tags["stage_key"]: run for run in store.runs if _has_key(run)}


def _differences(store: Store, other: Store) -> list[str]:
    import numpy as np

    from src.results.bootstrap_pickle import FILE_NAME, load

    one, two = _finished(store), _finished(other)
    names = {key: run.run_name for key, run in (one | two).items()}
    wrong = [f"{names[key]} is in one store only" for key in one.keys() ^ two.keys()]
    compared = [key for key in one.keys() & two.keys() if one[key].tags.get("kind") != "stage"]
    for key in compared:
        a, b = (load(s.artifacts(runs[key]) / FILE_NAME) for s, runs in ((store, one), (other, two)))
        different = [name for name in ARRAYS if not np.array_equal(a[name], b[name], equal_nan=True)]
        wrong += [f"{names[key]}: {', '.join(different)} differ"] if different else []
    return wrong if compared else [*wrong, "there is no combination to compare"]


def _writers_at_once(store: Store) -> int:
    """How many processes at most were between their first run's start and their last run's end."""
    spans: dict[str, tuple[int, int]] = {}
    for run in store.runs:
        if run.end_time and run.tags.get("kind") != "sweep":
            first, last = spans.get(run.tags["process"], (run.start_time, run.end_time))
            spans[run.tags["process"]] = min(first, run.start_time), max(last, run.end_time)
    return max((sum(a <= start < b for a, b in spans.values()) for start, _ in spans.values()), default=0)


def _different_estimates(path: Path, other: Path) -> list[str]:
    from src.results.database import open_results

    tables = []
    for file in (path, other):
        with open_results(file) as database:
            tables.append(database.query(ESTIMATES))
    same = len(tables[0]) > 0 and tables[0].equals(tables[1])
    return [] if same else [f"{path} and {other}: the estimates differ"]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("store", metavar="STORE", help="address of an MLflow store, or sqlite file")
    parser.add_argument("other", nargs="?", metavar="OTHER", help="another one, to compare it with")
    parser.add_argument(
        "--writers", type=int, default=1, help="how many processes must have worked at once on the first"
    )
    parser.add_argument("--databases", nargs=2, type=Path, metavar="DB", help="what was extracted from each")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
