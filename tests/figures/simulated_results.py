"""A small results database to look at and to count in: simulated predictions and signals, real evaluation.

What rests on predictions goes through the code of the extraction, and so do the comparisons; what rests on
recordings is made up.
"""

from __future__ import annotations

import colorsys
import functools
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from src.evaluation.feature_relations import correlations, vif
from src.evaluation.resampling import inbag_counts, resample_id
from src.registry import FACTORS, load_registry
from src.results.bootstrap_table import BootstrapTable
from src.results.builder import new_results
from src.results.columns import arrow_table
from src.results.comparing import write_comparisons
from src.results.database import SCHEMA_VERSION
from src.results.headlines import write_headlines
from src.results.run_tables import run_tables

N_SUBJECTS, N_CASES, N_ITERATIONS = 60, 16, 50
N_SAMPLES = 1981
DISTINCT = 36
"""Number of runs with predictions of their own; those after them are the same again."""
DEMO = {
    "outlier": ["pupil-gt", "LOF", "OneClassSVM", "SubPCA"],
    "imputation": ["pupil-gt", "linear", "SAITS"],
    "classifier": ["LogisticRegression", "XGBoost", "CatBoost"],
}
FEATURES = ["blue_MAX_CONSTRICTION_pct", "blue_PIPR_AUC_mm_s", "red_PHASIC_AUC_mm_s", "red_LATENCY_s"]
ARTEFACTS = {"blink": 60, "spike": 25, "loss": 15}
GAPS = {"up to 0.3 s": 0.6, "0.3 to 1 s": 1.0, "longer than 1 s": 1.7}
Y = np.r_[np.zeros(N_SUBJECTS - N_CASES, np.int8), np.ones(N_CASES, np.int8)]
CODES = tuple(f"{'G' if case else 'H'}{i:03d}" for i, case in enumerate(Y))
SEED = 1
RESAMPLES = resample_id(SEED, N_ITERATIONS, CODES, Y, CODES)


def build(
    path: Path, *, source="synthetic", factors=None, missing=(), cells=None, rename=None, n_examples=1
) -> Path:
    """Write a database.

    Parameters
    ----------
    path : Path
    source : str
        What the database says of its recordings.
    factors : dict
        Names of the methods per stage; their product is the grid, on the features 'simple'.
    missing : sequence of int
        Positions of cells that failed.
    cells : list of tuple
        The grid itself, where it is no product: features, detector, imputer, classifier.
    rename : dict
        Other names of methods, which the registry does not have.
    n_examples : int
        Number of example recordings.
    """
    if cells is None:
        factors = factors or DEMO
        names = (factors[stage] for stage in ("outlier", "imputation", "classifier"))
        cells = list(itertools.product(["simple"], *names))
    cells = [tuple((rename or {}).get(name, name) for name in cell) for cell in cells]
    rng = np.random.default_rng(7)
    registry = load_registry()
    tables: dict[str, list] = {}
    _add(tables, "methods", _methods(registry, cells))
    _add(tables, "metrics", _metrics(registry))
    _add(tables, "provenance", [_provenance(source)])
    for number, cell in enumerate(cells):
        failed = number in missing
        _add(tables, "coverage", [_coverage(f"r{number:04d}", cell, failed)])
        if not failed:
            _run(tables, f"r{number:04d}", cell, number % DISTINCT)
    _run(tables, "age", ("age", "none", "none", "LogisticRegression"), 0, kind="baseline")
    _run(tables, "simple-age", ("simple-age", *cells[0][1:]), 1, kind="baseline")
    for table, rows in _stages(cells, rng, n_examples).items():
        _add(tables, table, rows)
    with new_results(path) as writer:
        for table, parts in tables.items():
            writer.insert(table, pa.concat_tables(parts, promote_options="permissive"))
        write_headlines(writer, [])
        write_comparisons(writer, registry)
    return path


def many_names(stage: str, count: int) -> list[str]:
    """Names as long as the longest of the study."""
    return [f"ensemble-{stage}-LOF-MOMENT-OneClassSVM-PROPHET-variant-{i:02d}" for i in range(count)]


def _add(tables, name, rows):
    if isinstance(rows, list):
        rows = pd.DataFrame(rows)
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    tables.setdefault(name, []).append(rows)


def _factors(cell):
    return dict(zip(FACTORS.values(), cell, strict=True))


def _coverage(run_id, cell, failed):
    status = (
        {"status": "failed", "failed_stage": "imputation", "reason": "no memory"}
        if failed
        else {"status": "finished"}
    )
    return _factors(cell) | {"run_id": run_id, "inferred": False} | status


def _run(tables, run_id, cell, number, kind="combination"):
    """A run's rows as extraction would write them."""
    truth = sum(name == "pupil-gt" for name in cell)
    for name, rows in _evaluated(kind, truth, number).items():
        _add(tables, name, rows.append_column("run_id", pa.array([run_id] * len(rows), pa.string())))
    counts = {"n_iterations": N_ITERATIONS, "n_subjects": N_SUBJECTS}
    seconds = {"fit_seconds": 1.0 + number % 9, "duration_s": 12.0 + number}
    links = {"outlier_run_id": f"o-{cell[1]}", "imputation_run_id": f"i-{cell[1]}-{cell[2]}"}
    about = {"run_id": run_id, "run_name": "__".join(cell), "kind": kind, "fit_on": "unlabelled"}
    about |= links if cell[1] != "none" else {}
    _add(tables, "runs", [_factors(cell) | about | counts | seconds])
    _add(tables, "run_files", [_run_file(run_id) | counts])


@functools.cache
def _evaluated(kind, truth, number):
    """The tables of one run, from simulated probabilities: the same in all databases, for speed."""
    rng = np.random.default_rng([len(kind), truth, number])
    effect = 0.3 if kind == "baseline" else 0.9 + 0.2 * truth + rng.normal(0, 0.1)
    tables = run_tables(_bootstrap_table(effect, rng))
    return {name: arrow_table(columns) for name, columns in tables.items()}


def _run_file(run_id):
    texts = ("digest", "subjects_digest", "predictions_digest")
    return dict.fromkeys(texts, run_id) | {
        "run_id": run_id,
        "file_bytes": 1,
        "modified_ns": 1,
        "cohort_hash": "c0ffee0123456789",
        "resample_id": RESAMPLES,
        "n_cases": N_CASES,
        "n_controls": N_SUBJECTS - N_CASES,
        "is_foreign": False,
    }


def _bootstrap_table(effect, rng):
    """Probabilities: what a subject is like is the same in all runs; how much of it is seen, is not."""
    subject = np.random.default_rng(3).normal(0, 0.8, N_SUBJECTS) + rng.normal(0, 0.4, N_SUBJECTS)
    noise = rng.normal(0, 0.4, (N_ITERATIONS + 1, N_SUBJECTS))
    p = 1 / (1 + np.exp(-(effect * Y + subject - 1.6 + noise)))
    counts = inbag_counts(Y, CODES, N_ITERATIONS, SEED)
    importance = np.abs(rng.normal([0.4, 0.3, 0.2, 0.1], 0.05, (N_ITERATIONS, len(FEATURES))))
    return BootstrapTable(
        y=Y,
        codes=CODES,
        groups=CODES,
        p_all=p[1:],
        left_out=counts == 0,
        inbag_counts=counts,
        p_apparent=p[0],
        stored_auroc=None,
        stored_brier=None,
        features=tuple(FEATURES),
        importances={"model": importance, "permutation": importance - 0.1},
        factors=None,
        details={},
        foreign=False,
    )


def _methods(registry, cells):
    """Rows of the methods that occur; those the registry does not have get a colour and a category."""
    stages = list(FACTORS)
    seen = dict.fromkeys((stage, name) for cell in cells for stage, name in zip(stages, cell, strict=True))
    rows = []
    for order, (stage, name) in enumerate([*seen, ("features", "age"), ("features", "simple-age")]):
        known = registry.methods.get((stage, name))
        hue = colorsys.hsv_to_rgb(order / 40 % 1, 0.6, 0.7)
        row = {"stage": stage, "name": name, "in_study": True, "runnable": True, "sort_order": order}
        row["display_name"] = known.display_name if known else name
        row["category"] = known.category if known else ("ensemble", "deep learning", "traditional")[order % 3]
        row["colour"] = known.colour if known else "#{:02x}{:02x}{:02x}".format(*(int(255 * c) for c in hue))
        rows.append(row)
    return rows


def _metrics(registry):
    return [
        {
            "name": metric.name,
            "display_name": metric.display_name,
            "direction": metric.direction,
            "target": metric.target,
            "kind": metric.kind,
            "stage": metric.stage,
            "domain_lo": metric.domain[0],
            "domain_hi": metric.domain[1],
            "definition": metric.definition,
        }
        for metric in registry.metrics.values()
    ]


def _stages(cells, rng, n_examples):
    """Rows of the tables that rest on recordings."""
    detectors = list(dict.fromkeys(cell[1] for cell in cells))
    cleaned = list(dict.fromkeys(cell[1:3] for cell in cells))
    features = list(dict.fromkeys(cell[:3] for cell in cells))
    values = {tables: _features(tables, rng) for tables in features}
    return {
        "outlier_quality": [row for i, name in enumerate(detectors) for row in _detection(i, name)],
        "hippus_probe": [_probe(i, name) for i, name in enumerate(detectors)],
        "imputation_quality": [row for i, pair in enumerate(cleaned) for row in _imputation(i, pair)],
        "ensemble_members": _members(cleaned),
        "feature_values": pd.concat([_feature_values(key, table) for key, table in values.items()]),
        "feature_correlations": pd.concat([_relations(key, table) for key, table in values.items()]),
        "feature_vif": pd.concat([_inflation(key, table) for key, table in values.items()]),
    } | _examples(cleaned, rng, n_examples)


def _detection(i, name):
    """A detector finds the more, the earlier it comes; the truth finds all."""
    right = 1.0 if name == "pupil-gt" else 0.9 - 0.1 * (i % 4)
    false = 0 if name == "pupil-gt" else 10 * (1 + i % 5)
    about = {"outlier_method": name, "fit_on": "unlabelled", "evaluated_on": "held-out"}
    about |= {"run_id": f"o-{name}", "duration_s": 1.0 + i, "n_samples": 1000}
    found = {kind: round(n * right) for kind, n in ARTEFACTS.items()}
    for kind, n in ARTEFACTS.items():
        counts = {"artefact_type": kind, "n_artefact": n, "tp": found[kind], "fn": n - found[kind]}
        yield about | counts | {"recall": found[kind] / n}
    n, tp = sum(ARTEFACTS.values()), sum(found.values())
    counts = {"artefact_type": "all", "n_artefact": n, "tp": tp, "fp": false, "fn": n - tp}
    scores = {"precision": tp / (tp + false), "recall": tp / n, "f1": 2 * tp / (tp + false + n)}
    yield about | counts | scores | {"tn": 900 - false, "fpr": false / 900, "f1_random": 0.1}


def _probe(i, name):
    flagged = 400 * i
    counts = {
        "n_recordings": 20,
        "n_samples": 40_000,
        "n_flagged": flagged,
        "share_flagged": flagged / 40_000,
    }
    return {"outlier_method": name, "fit_on": "unlabelled", "run_id": f"o-{name}"} | counts


def _imputation(i, pair):
    outlier, imputation = pair
    about = {"outlier_method": outlier, "imputation_method": imputation, "fit_on": "unlabelled", "unit": "mm"}
    about |= {"evaluated_on": "held-out", "run_id": f"i-{outlier}-{imputation}", "duration_s": 2.0 + i}
    for gap, harder in ({"all": 1.0} | GAPS).items():
        error = 0.0 if imputation == "pupil-gt" else (0.05 + 0.01 * (i % 7)) * harder
        linear = 0.08 * harder
        rows = {"gap": gap, "n_samples": 5000, "mae": error, "mre": error / 5, "mse": error**2}
        yield about | rows | {"mae_linear": linear, "mre_linear": linear / 5, "mse_linear": linear**2}


def _members(cleaned):
    """The second detector stands for an ensemble of the first."""
    outlier = list(dict.fromkeys(pair[0] for pair in cleaned))
    ensemble = (outlier[1:] or outlier)[0]
    about = {"stage": "outlier", "method": ensemble, "outlier_method": "none", "run_id": f"o-{ensemble}"}
    return [
        about | {"member": outlier[0], "status": "used", "quality": 0.8},
        about | {"member": "LOF", "status": "left out", "reason": "no package"},
    ]


def _features(key, rng):
    table = rng.normal(size=(N_SUBJECTS, len(FEATURES))) + np.outer(Y, [1.0, 0.8, 0.3, 0.0])
    table[:, 1] += 0.9 * table[:, 0]
    return table


def _of(key):
    return dict(zip(("featurization", "outlier_method", "imputation_method"), key, strict=True))


def _feature_values(key, table):
    wide = pd.DataFrame(table, columns=FEATURES).assign(recording_code=CODES)
    return wide.melt("recording_code", var_name="feature").assign(**_of(key))


def _relations(key, table):
    return pd.DataFrame(correlations(table, FEATURES)).assign(**_of(key))


def _inflation(key, table):
    return pd.DataFrame(vif(table, FEATURES)).assign(**_of(key))


def _examples(cleaned, rng, n_examples):
    time = np.arange(N_SAMPLES) / 30
    tables: dict[str, list] = {"example_recordings": [], "example_light": [], "example_imputations": []}
    imputers = list(dict.fromkeys(pair[1] for pair in cleaned))[:8]
    for number in range(n_examples):
        code = f"U{number + 1:03d}"
        raw, truth, mask = _signal(time, number, rng)
        recording = {"recording_code": code, "sample": range(len(time)), "time_s": time, "raw": raw}
        tables["example_recordings"].append(pd.DataFrame(recording | {"truth": truth, "truth_mask": mask}))
        lights = {"colour": ["blue", "red"], "onset_s": [15.5, 46.5], "offset_s": [24.5, 55.5]}
        tables["example_light"].append(pd.DataFrame(lights).assign(recording_code=code))
        for outlier, imputation in (pair for pair in cleaned if pair[1] in imputers):
            wrong = 0 if outlier == "pupil-gt" else rng.random(len(time)) < 0.01
            flagged = (mask ^ wrong).astype(bool) | np.isnan(raw)
            wobble = 0 if imputation == "pupil-gt" else rng.normal(0, 0.2) * np.sin(time * 3)
            columns = {"missing": flagged, "imputed": np.where(flagged, truth + wobble, raw)}
            columns |= {"outlier_method": outlier, "imputation_method": imputation, "recording_code": code}
            columns |= {"sample": range(len(time)), "sd": 0.1 if imputation == "SAITS" else np.nan}
            tables["example_imputations"].append(pd.DataFrame(columns))
    return {name: pd.concat(frames) for name, frames in tables.items()}


def _signal(time, number, rng):
    """Two constrictions with hippus; blinks and a loss cover some of it."""
    truth = 5 - 2.2 * np.exp(-(((time - 21) / 5) ** 2)) - 1.6 * np.exp(-(((time - 52) / 4) ** 2))
    truth += 0.06 * np.sin(time * 1.1) + rng.normal(0, 0.015, len(time))
    mask = np.zeros(len(time), bool)
    starts = (3.1, 12, 18, 23.5, 34, 49, 60)
    for start, length in zip(starts, (0.2, 1.9, 0.3, 0.25, 0.2, 0.3, 0.2), strict=True):
        mask |= (time >= start + number) & (time < start + number + length)
    raw = np.where(mask, truth - 1.5 + rng.normal(0, 0.6, len(time)), truth)
    raw[(time > 12.3 + number) & (time < 13.5 + number)] = np.nan
    return raw, truth, mask


def _provenance(source):
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": pd.Timestamp("2026-01-02"),
        "source": source,
        "unit": "mm",
        "cohort_hash": "c0ffee0123456789",
        "resample_id": RESAMPLES,
        "n_subjects": N_SUBJECTS,
        "n_recordings": N_SUBJECTS + 20,
        "n_cases": N_CASES,
        "n_controls": N_SUBJECTS - N_CASES,
        "n_unlabelled": 20,
        "n_iterations": N_ITERATIONS,
        "seed": SEED,
        "fit_on": "unlabelled",
        "code_commit": "abc1234",
        "package_versions": '{"numpy": "2.4.6"}',
        "tracking_store": "sqlite",
        "sweep_id": "s1",
        "prevalence_study": N_CASES / N_SUBJECTS,
        "prevalence_population": 0.0354,
        "foreign": False,
    }


if __name__ == "__main__":
    import sys

    build(Path(sys.argv[1]))
