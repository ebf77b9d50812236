"""A store with as many runs as a study, made in a minute: simulated predictions, real files."""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import expit

from src import stage_files
from src.evaluation.auc import auroc
from src.evaluation.metrics import brier
from src.evaluation.resampling import inbag_counts, resample_id
from src.registry import FACTORS, load_registry
from src.results.bootstrap_pickle import FILE_NAME, dump
from src.tracking import Tracking

B, N_CASES, N_CONTROLS = 1000, 56, 152
SEED = 7
N_EXAMPLES, N_SAMPLES = 4, 1981
N_FEATURES = 8

Y = np.repeat([1, 0], [N_CASES, N_CONTROLS]).astype(np.int8)
CODES = [f"G{i:03d}" for i in range(N_CASES)] + [f"H{i:03d}" for i in range(N_CONTROLS)]
RESAMPLES = resample_id(SEED, B, CODES, Y, CODES)
COHORT = "0" * 16
TAGS = {
    "cohort_hash": COHORT,
    "resample_id": RESAMPLES,
    "source": "synthetic",
    "unit": "mm",
    "fit_on": "unlabelled",
    "schema_version": "1",
}

Cell = tuple[str, ...]


class ManyRuns:
    """An MLflow sqlite store with its artifacts, filled without MLflow; every run has 1000 x 208 predictions.

    Parameters
    ----------
    folder : Path
        Gets `mlflow.db` and `mlartifacts/`.
    """

    def __init__(self, folder: Path) -> None:
        self.experiments = {e.stage: e.experiment for e in load_registry().experiments.values()}
        self.database = folder / "mlflow.db"
        self.artifacts = folder / "mlartifacts"
        Tracking(f"sqlite:///{self.database}", tuple(self.experiments.values()))
        self.counts = inbag_counts(Y, CODES, B, SEED)
        self.n = 0
        self._cells = _cells()
        self._stages: dict[Cell, str] = {}
        self._clock = 1_700_000_000_000

    def grow(self, n: int) -> None:
        """Add runs until there are `n`, with the runs of the stages they rest on."""
        for _ in range(n - self.n):
            self._combination(next(self._cells))
            self.n += 1

    def _combination(self, cell: Cell) -> None:
        featurization, outlier, imputation, _ = cell
        links = {
            "outlier_run_id": self._stage("outlier", ("outlier_method",), (outlier,)),
            "imputation_run_id": self._stage(
                "imputation", ("outlier_method", "imputation_method"), (outlier, imputation)
            ),
            "featurization_run_id": self._stage(
                "features",
                ("outlier_method", "imputation_method", "featurization"),
                (outlier, imputation, featurization),
            ),
        }
        factors = dict(zip(FACTORS.values(), cell, strict=True))
        folder = self._run("classifier", factors, {"kind": "combination"} | links)
        dump(self._results(factors), folder / FILE_NAME)

    def _results(self, factors: dict[str, str]) -> dict[str, object]:
        rng = np.random.default_rng(self.n)
        scores = 1.6 * Y - 1.5 + rng.standard_normal(Y.size) + 0.3 * rng.standard_normal((B + 1, Y.size))
        p = expit(scores).astype(np.float32)
        out = self.counts == 0
        importance = rng.random((B, N_FEATURES), dtype=np.float32)
        return {
            "schema_version": 1,
            "run_name": "__".join(factors.values()),
            "factors": factors,
            "n_iterations": B,
            "seed": SEED,
            **{name: TAGS[name] for name in ("resample_id", "cohort_hash", "source", "unit", "fit_on")},
            "features": [f"feature_{i}" for i in range(N_FEATURES)],
            "subject_codes": CODES,
            "groups": CODES,
            "y": Y,
            "y_prob_all": p[:-1],
            "inbag_counts": self.counts.astype(np.uint8),
            "y_prob_apparent": p[-1],
            "auroc": auroc(Y, p[:-1], out).tolist(),
            "brier": brier(Y, p[:-1], out).tolist(),
            "y_true": [Y[left] for left in out],
            "y_prob": [row[left] for row, left in zip(p, out, strict=False)],
            "train_indices": [np.repeat(np.arange(Y.size), row) for row in self.counts],
            "test_indices": [np.flatnonzero(left) for left in out],
            "random_states": np.arange(B),
            "versions": {},
            "code_commit": "",
            "created_at": "2026-01-01T00:00:00+00:00",
            "fit_seconds": 1.0,
            "feature_importance": importance / importance.sum(axis=1, keepdims=True),
            "permutation_importance": np.where(np.arange(B)[:, None] % 5, np.float32(np.nan), importance),
        }

    def _stage(self, stage: str, names: tuple[str, ...], levels: Cell) -> str:
        """Id of the stage's run of these methods; it is made when it is first asked for."""
        if levels not in self._stages:
            folder = self._run(stage, dict(zip(names, levels, strict=True)), {"kind": "stage"})
            _STAGE_FILES[stage](folder)
            self._stages[levels] = folder.parent.name
        return self._stages[levels]

    def _run(self, stage: str, params: dict[str, str], tags: dict[str, str]) -> Path:
        """Write what MLflow writes about a finished run, and return the folder of its artifacts."""
        run_id, name = uuid.uuid4().hex, self.experiments[stage]
        folder = self.artifacts / name / run_id / "artifacts"
        folder.mkdir(parents=True)
        self._clock += 1000
        with sqlite3.connect(self.database) as connection:
            (experiment,) = connection.execute(
                "SELECT experiment_id FROM experiments WHERE name = ?", (name,)
            ).fetchone()
            connection.execute(
                "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
                "lifecycle_stage, artifact_uri, experiment_id) "
                "VALUES (?, ?, 'LOCAL', '', 'FINISHED', ?, ?, 'active', ?, ?)",
                (run_id, run_id[:8], self._clock, self._clock + 900, folder.as_uri(), experiment),
            )
            for table, values in (("params", params), ("tags", TAGS | tags)):
                rows = [(key, value, run_id) for key, value in values.items()]
                connection.executemany(f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)", rows)
            connection.execute(
                "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
                "VALUES ('duration_s', 0.9, 0, 0, 0, ?)",
                (run_id,),
            )
        connection.close()
        return folder


def _cells() -> Iterator[Cell]:
    """All combinations of the registry's methods, one feature set after the other."""
    registry = load_registry()
    yield from itertools.product(*(registry.names(stage) for stage in FACTORS))


def _outlier_files(folder: Path) -> None:
    counts = {"n_samples": 100, "n_artefact": 10, "tp": 8, "fp": 2, "fn": 2, "tn": 88}
    scores = {"precision": 0.8, "recall": 0.8, "f1": 0.8, "fpr": 2 / 90, "f1_random": 0.1}
    stage_files.write_rows(folder / "quality.json", [{"artefact_type": "all"} | counts | scores])
    probe = {"n_recordings": 20, "n_samples": 2000, "n_flagged": 10, "share_flagged": 0.005}
    stage_files.write_rows(folder / "probe.json", [probe])


def _imputation_files(folder: Path) -> None:
    rng = np.random.default_rng(0)
    row = {"gap": "all", "n_samples": 9, "mae": 0.1, "mre": 0.02, "mse": 0.01}
    row |= {"mae_linear": 0.1, "mre_linear": 0.02, "mse_linear": 0.01}
    stage_files.write_rows(folder / "quality.json", [row])
    stage_files.write_rows(folder / "unusable.json", [])
    signal = 5 + rng.standard_normal((N_EXAMPLES, N_SAMPLES)) / 10
    missing = rng.random(signal.shape) < 0.1
    arrays = {
        "time": np.arange(N_SAMPLES) / 30,
        "codes": np.array(CODES[:N_EXAMPLES]),
        "raw": np.where(missing, np.nan, signal),
        "missing": missing,
        "imputed": signal,
        "truth": signal,
        "truth_mask": missing,
        "sd": np.where(missing, 0.1, np.nan),
        "light_blue": np.tile([15.5, 24.5], (N_EXAMPLES, 1)),
    }
    stage_files.write_examples(folder, arrays)


def _feature_files(folder: Path) -> None:
    values = np.random.default_rng(0).standard_normal((len(CODES), N_FEATURES))
    stage_files.write_features(folder, values, [f"feature_{i}" for i in range(N_FEATURES)], CODES)


_STAGE_FILES = {"outlier": _outlier_files, "imputation": _imputation_files, "features": _feature_files}
