"""A classic `mlruns` folder made of plain files, with runs small enough to know by heart."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from src.evaluation.auc import auroc
from src.evaluation.metrics import brier
from src.evaluation.resampling import inbag_counts, left_out, resample_id
from src.results.bootstrap_pickle import FILE_NAME, dump

EXPERIMENTS = {
    "1": "PLR_OutlierDetection",
    "2": "PLR_Imputation",
    "3": "PLR_Featurization",
    "4": "PLR_Classification",
}
FACTORS = ("featurization", "outlier_method", "imputation_method", "classifier")
COHORT_HASH = "c0ffee"
N_ITERATIONS = 40
SEED = 7
Y = np.array([1] * 20 + [0] * 30, dtype=np.int8)
CODES = [f"G{i:03d}" for i in range(1, 21)] + [f"H{i:03d}" for i in range(1, 31)]
UNLABELLED = ["U001", "U002"]
RESAMPLE_ID = resample_id(SEED, N_ITERATIONS, CODES, Y, CODES)
STATUS = {"RUNNING": 1, "FINISHED": 3, "FAILED": 4, "KILLED": 5}


class FakeStore:
    """Writes runs as files; every run starts one second after the one before it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 1_700_000_000_000
        self.count = 0
        for number, name in EXPERIMENTS.items():
            folder = root / number
            folder.mkdir(parents=True)
            (folder / "meta.yaml").write_text(
                f"experiment_id: '{number}'\nname: {name}\nlifecycle_stage: active\n"
            )

    def run(self, experiment="4", params=None, tags=None, metrics=None, status="FINISHED") -> Path:
        """Write a run without artifacts; returns its folder."""
        self.clock += 1000
        self.count += 1
        run_id = f"{self.count:032x}"
        folder = self.root / experiment / run_id
        (folder / "artifacts").mkdir(parents=True)
        meta = {
            "run_id": run_id,
            "run_name": f"run-{self.count}",
            "status": STATUS[status],
            "start_time": self.clock,
            "end_time": self.clock + 500,
            "artifact_uri": f"file:///home/elsewhere/mlruns/{experiment}/{run_id}/artifacts",
            "lifecycle_stage": "active",
        }
        (folder / "meta.yaml").write_text(json.dumps(meta))
        for kind, values in (("params", params), ("tags", tags), ("metrics", metrics)):
            for name, value in (values or {}).items():
                path = folder / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{self.clock} {value} 0\n" if kind == "metrics" else str(value))
        return folder

    def combination(self, cell, seed=0, kind="combination", tags=None, **changes) -> Path:
        """Write a finished combination of this program."""
        factors = dict(zip(FACTORS, cell, strict=True))
        folder = self.run(params=factors, tags=own_tags(kind) | (tags or {}))
        results = own_results(factors, seed) | changes
        dump(results, folder / "artifacts" / FILE_NAME)
        return folder

    def foreign(self, cell, results, **run) -> Path:
        """Write a run of another program: parameters and a pickle, no tags."""
        folder = self.run(params=dict(zip(FACTORS, cell, strict=True)) if cell else {}, **run)
        (folder / "artifacts" / FILE_NAME).write_bytes(pickle.dumps(results))
        return folder

    def failed(self, cell, stage="imputation", error="it broke") -> Path:
        tags = own_tags("combination") | {"failed_stage": stage, "error_class": "ValueError", "error": error}
        del tags["resample_id"]
        return self.run(params=dict(zip(FACTORS, cell, strict=True)), tags=tags, status="FAILED")

    def sweep(self, cells, sweep_id="sweep-1", name="quick", tags=None) -> Path:
        folder = self.run(tags=own_tags("sweep") | (tags or {}))
        plan = {
            "sweep_id": sweep_id,
            "sweep": name,
            "cells": [dict(zip(FACTORS, c, strict=True)) for c in cells],
        }
        (folder / "artifacts" / "planned.json").write_text(json.dumps(plan))
        return folder

    def stages(self, featurization, outlier, imputation) -> dict[str, str]:
        """Write the three stage runs of one combination; returns the tags that link to them."""
        known = {"outlier_method": outlier}
        tags = own_tags("stage") | {"evaluated_on": "held-out"}
        seconds = {"duration_s": 1.5}
        first = self.run("1", known, tags, seconds)
        write_json(first, "quality.json", DETECTION_ROWS)
        known = known | {"imputation_method": imputation}
        second = self.run("2", known, tags, seconds)
        write_json(
            second, "quality.json", [{"gap": "all", "n_samples": 9, "mae": 0.1, "mre": 0.02, "mse": 0.01}]
        )
        write_json(second, "unusable.json", ["U002"])
        np.savez(second / "artifacts" / "examples.npz", **example_arrays())
        third = self.run("3", known | {"featurization": featurization}, tags, seconds)
        np.savez(third / "artifacts" / "features.npz", **feature_arrays())
        names = ("outlier_run_id", "imputation_run_id", "featurization_run_id")
        self.folders = {"outlier": first, "imputation": second, "features": third}
        return {name: folder.name for name, folder in zip(names, (first, second, third), strict=True)}


MEMBERS = [
    {"member": "LOF", "status": "used", "reason": None, "quality": 0.75},
    {"member": "SubPCA", "status": "not kept", "reason": "F1 0.2", "quality": 0.2},
    {"member": "PROPHET", "status": "left out", "reason": "no package", "quality": None},
]
_COUNTS = ["artefact_type", "n_samples", "n_artefact", "tp", "fp", "fn", "tn"]
_COUNTS += ["precision", "recall", "f1", "fpr"]
DETECTION_ROWS = [
    dict(zip(_COUNTS, ("all", 100, 10, 8, 2, 2, 88, 0.8, 0.8, 0.8, 2 / 90), strict=True)),
    dict(zip(_COUNTS, ("blink", 6, 6, 6, None, 0, None, None, 1.0, None, None), strict=True)),
]


def example_arrays() -> dict[str, np.ndarray]:
    missing = np.array([[False, True, True, False]])
    return {
        "time": np.arange(4) / 2,
        "codes": np.array(["G001"]),
        "raw": np.array([[5.0, np.nan, 9.0, 5.1]]),
        "truth": np.array([[5.0, 5.05, 5.05, 5.1]]),
        "truth_mask": missing,
        "missing": missing,
        "imputed": np.array([[5.0, 5.0, 5.1, 5.1]]),
        "sd": np.array([[np.nan, 0.1, 0.1, np.nan]]),
        "light_blue": np.array([[0.5, 1.0]]),
        "light_red": np.array([[1.2, 1.6]]),
    }


def feature_arrays() -> dict[str, np.ndarray]:
    recordings = [*CODES, *UNLABELLED]
    values = np.arange(2.0 * len(recordings)).reshape(-1, 2)
    values[0, 0] = np.nan
    values[9::7, 1] += 5
    columns = ["blue_PHASIC_pct", "red_PHASIC_pct"]
    return {"values": values, "columns": np.array(columns), "recordings": np.array(recordings)}


def own_tags(kind: str) -> dict[str, str]:
    return {
        "kind": kind,
        "cohort_hash": COHORT_HASH,
        "resample_id": RESAMPLE_ID,
        "source": "synthetic",
        "unit": "mm",
        "fit_on": "all",
        "code_commit": "abc123",
        "schema_version": "1",
    }


def predictions(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In-bag counts, probabilities of all iterations and of the model on everybody; of middling quality."""
    counts = inbag_counts(Y, CODES, N_ITERATIONS, SEED)
    rng = np.random.default_rng(seed)
    score = (
        1.2 * Y - 0.8 + rng.standard_normal(len(Y)) + 0.3 * rng.standard_normal((N_ITERATIONS + 1, len(Y)))
    )
    p = (1 / (1 + np.exp(-score))).astype(np.float32)
    return counts, p[:-1], p[-1]


def own_results(factors: dict[str, str], seed: int = 0) -> dict:
    counts, p, apparent = predictions(seed)
    out = left_out(counts)
    return {
        "schema_version": 1,
        "run_name": "__".join(factors.values()),
        "factors": factors,
        "n_iterations": N_ITERATIONS,
        "seed": SEED,
        "resample_id": RESAMPLE_ID,
        "cohort_hash": COHORT_HASH,
        "source": "synthetic",
        "unit": "mm",
        "fit_on": "all",
        "features": ["blue_PHASIC_pct", "red_PHASIC_pct"],
        "subject_codes": list(CODES),
        "groups": list(CODES),
        "y": Y,
        "y_prob_all": p,
        "inbag_counts": counts.astype(np.uint8),
        "y_prob_apparent": apparent,
        "auroc": auroc(Y, p, out).tolist(),
        "brier": brier(Y, p, out).tolist(),
        "y_true": [Y[row] for row in out],
        "y_prob": [p[b][row] for b, row in enumerate(out)],
        "train_indices": [np.repeat(np.arange(len(Y)), row) for row in counts],
        "test_indices": [np.flatnonzero(row) for row in out],
        "random_states": np.arange(N_ITERATIONS),
        "versions": {"numpy": "2"},
        "code_commit": "abc123",
        "created_at": "2026-01-01T00:00:00+00:00",
        "fit_seconds": 1.0,
    }


def importances(seed: int) -> dict[str, np.ndarray]:
    """The optional keys of a run, for its two features."""
    own = np.random.default_rng(seed).random((N_ITERATIONS, 2)).astype(np.float32)
    permuted = own / 10
    permuted[0] = np.nan
    return {"feature_importance": own / own.sum(axis=1, keepdims=True), "permutation_importance": permuted}


def foreign_results(seed: int = 0) -> dict:
    """Nested lists, two columns, nothing optional."""
    own = own_results({}, seed)
    both = [np.column_stack([1 - p.astype(float), p.astype(float)]).tolist() for p in own["y_prob"]]
    lists = {key: [row.tolist() for row in own[key]] for key in ("y_true", "train_indices", "test_indices")}
    return lists | {"y_prob": both}


def write_json(folder: Path, name: str, content: object) -> None:
    (folder / "artifacts" / name).write_text(json.dumps(content))
