"""A small results database: the real schema with simulated predictions, to look at and to count in."""

from __future__ import annotations

import colorsys
import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from src.registry import load_registry
from src.results.builder import new_results
from src.results.database import SCHEMA_VERSION

N_SUBJECTS, N_CASES, N_ITERATIONS = 60, 16, 50
DEMO = {
    "outlier": ["pupil-gt", "LOF", "OneClassSVM", "SubPCA"],
    "imputation": ["pupil-gt", "linear", "SAITS"],
    "classifier": ["LogisticRegression", "XGBoost", "CatBoost"],
}
LO_HI = np.array([2.5, 97.5])
THRESHOLDS = np.round(np.arange(0.01, 1.0, 0.01), 2)


def build(path: Path, *, source="synthetic", factors=None, missing=(), rename=None, n_examples=1) -> Path:
    """Write a database; `missing`: positions of cells that failed; `rename`: other names of methods."""
    factors, rename = factors or DEMO, rename or {}
    rng = np.random.default_rng(7)
    cells = list(itertools.product(*(factors[stage] for stage in ("outlier", "imputation", "classifier"))))
    cells = [tuple(rename.get(name, name) for name in cell) for cell in cells]
    tables: dict[str, list[pd.DataFrame]] = {}
    y = np.r_[np.zeros(N_SUBJECTS - N_CASES, int), np.ones(N_CASES, int)]
    for number, cell in enumerate(cells):
        run_id = f"r{number:04d}"
        failed = number in missing
        _add(tables, "coverage", [_coverage(run_id, cell, failed)])
        if not failed:
            _run(tables, run_id, ("simple", *cell), y, rng)
    _baseline(tables, y, rng)
    _dictionaries(tables, factors, rename)
    _quality(tables, cells, rng)
    _examples(tables, cells, rng, n_examples)
    _add(tables, "provenance", [_provenance(source)])
    with new_results(path) as writer:
        for name, frames in tables.items():
            writer.insert(name, pd.concat(frames, ignore_index=True))
    return path


def many_names(stage: str, count: int) -> list[str]:
    """Names as long as the longest of the study."""
    return [f"ensemble-{stage}-LOF-MOMENT-OneClassSVM-PROPHET-variant-{i:02d}" for i in range(count)]


def _add(tables, name, rows):
    tables.setdefault(name, []).append(rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows))


def _factors(names):
    return dict(
        zip(("featurization", "outlier_method", "imputation_method", "classifier"), names, strict=True)
    )


def _coverage(run_id, cell, failed):
    status = (
        {"status": "failed", "failed_stage": "imputation", "reason": "no memory"}
        if failed
        else {"status": "finished"}
    )
    return _factors(("simple", *cell)) | {"run_id": run_id, "inferred": False} | status


def _predict(y, rng, effect):
    subject = rng.normal(0, 1, len(y)) + effect * y - effect * 0.75
    p = 1 / (1 + np.exp(-(subject + rng.normal(0, 0.5, (N_ITERATIONS, len(y))))))
    place = rng.random((N_ITERATIONS, len(y)))
    left_out = np.zeros(place.shape, bool)
    for label in (0, 1):
        of_class = y == label
        left_out[:, of_class] = place[:, of_class].argsort(axis=1).argsort(axis=1) < 0.37 * of_class.sum()
    return p, left_out


def _auroc(y, p):
    return float((np.subtract.outer(p[y == 1], p[y == 0]) > 0).mean())


def _run(tables, run_id, names, y, rng, kind="combination"):
    ground_truth = sum(name == "pupil-gt" for name in names)
    p, left_out = _predict(y, rng, 1.4 + 0.25 * ground_truth + rng.normal(0, 0.15))
    rows = [_iteration(run_id, b, y[left_out[b]], p[b, left_out[b]], rng) for b in range(N_ITERATIONS)]
    iterations = pd.DataFrame(rows)
    essential = _essential(run_id, iterations)
    target = "essential_metrics" if kind == "combination" else "baseline_metrics"
    counts = {"n_iterations": N_ITERATIONS, "n_subjects": len(y), "n_cases": int(y.sum())}
    _add(tables, target, [_factors(names) | {"run_id": run_id} | essential | counts])
    _add(tables, "iteration_metrics", iterations)
    _add(tables, "metric_estimates", _estimates(run_id, iterations, essential))
    run = {
        "run_id": run_id,
        "run_name": "__".join(names),
        "kind": kind,
        "fit_seconds": 3.0,
        "duration_s": 4.0,
    }
    _add(tables, "runs", [_factors(names) | run | {"n_iterations": N_ITERATIONS, "n_subjects": len(y)}])
    if kind == "combination":
        _curves(tables, run_id, y, p, left_out, rng)


def _iteration(run_id, b, y, p, rng):
    row = {"run_id": run_id, "iteration": b, "auroc": _auroc(y, p), "brier": float(((p - y) ** 2).mean())}
    row["brier_scaled"] = 1 - row["brier"] / (y.mean() * (1 - y.mean()))
    row |= {
        "cal_intercept": rng.normal(0, 0.3),
        "cal_slope": rng.normal(0.9, 0.2),
        "cal_intercept_joint": rng.normal(0, 0.3),
    }
    row |= {"oe_ratio": rng.normal(1, 0.1)} | {
        f"net_benefit_{t}": rng.normal(0.2, 0.02) for t in ("05", "10", "15", "20")
    }
    return row | {"n_clipped": 0, "n_left_out": len(y)}


def _essential(run_id, iterations):
    values = iterations.drop(columns=["run_id", "iteration", "n_clipped", "n_left_out"])
    row = values.mean().to_dict()
    for metric, half in (("auroc", 0.06), ("brier", 0.02)):
        row |= {f"{metric}_lo": row[metric] - half, f"{metric}_hi": min(1.0, row[metric] + half)}
        row |= dict(
            zip(
                (f"{metric}_refit_lo", f"{metric}_refit_hi"),
                np.percentile(values[metric], LO_HI),
                strict=True,
            )
        )
    return row | {
        "cal_slope_median": values["cal_slope"].median(),
        "cal_intercept_joint_median": values["cal_intercept_joint"].median(),
        "oe_ratio_median": values["oe_ratio"].median(),
    }


def _estimates(run_id, iterations, essential):
    rows = []
    for metric in iterations.columns.drop(["run_id", "iteration", "n_clipped", "n_left_out"]):
        value = essential[metric]
        refit = dict(zip(("refit_lo", "refit_hi"), np.percentile(iterations[metric], LO_HI), strict=True))
        sampling = {"sampling_lo": value - 0.05, "sampling_hi": value + 0.05}
        if metric in ("auroc", "brier"):
            sampling = {"sampling_lo": essential[f"{metric}_lo"], "sampling_hi": essential[f"{metric}_hi"]}
        centre = {"estimate": value, "estimate_median": iterations[metric].median()}
        rows.append({"run_id": run_id, "metric": metric, "estimator": "oob"} | centre | refit | sampling)
        rows.append({"run_id": run_id, "metric": metric, "estimator": "oob_pooled", "estimate": value + 0.01})
    return rows


def _curves(tables, run_id, y, p, left_out, rng):
    pooled = np.where(left_out, p, np.nan)
    p_oob = np.nanmean(pooled, axis=0)
    codes = [f"{'G' if case else 'H'}{i:03d}" for i, case in enumerate(y)]
    _add(
        tables,
        "predictions",
        pd.DataFrame(
            {
                "run_id": run_id,
                "recording_code": codes,
                "subject_code": codes,
                "y": y,
                "p_apparent": p[0],
                "p_oob": p_oob,
                "p_oob_sd": np.nanstd(pooled, axis=0),
                "n_oob": left_out.sum(axis=0),
            }
        ),
    )
    fpr = np.linspace(0, 1, 101)
    tpr = fpr ** (0.15 + 0.1 * rng.random())
    _add(
        tables,
        "roc_curves",
        pd.DataFrame(
            {
                "run_id": run_id,
                "estimator": "oob",
                "point": range(101),
                "fpr": fpr,
                "tpr": tpr,
                "tpr_lo": np.maximum(0, tpr - 0.15 * (1 - fpr)),
                "tpr_hi": np.minimum(1, tpr + 0.1),
            }
        ),
    )
    for estimator, values in (("oob_pooled", p_oob), ("apparent", p[0])):
        grid = np.linspace(values.min(), values.max(), 100)
        observed = grid + 0.1 * np.sin(5 * grid) * rng.normal()
        _add(
            tables,
            "calibration_curves",
            pd.DataFrame(
                {
                    "run_id": run_id,
                    "estimator": estimator,
                    "point": range(100),
                    "p": grid,
                    "observed": observed,
                }
            ),
        )
        _add(tables, "calibration_bins", _bins(run_id, estimator, y, values))
    _add(tables, "decision_curves", _decision(run_id, y, p_oob))
    edges = np.linspace(0, 1, 21)
    for label in (0, 1):
        n = np.histogram(p_oob[y == label], edges)[0]
        _add(
            tables,
            "probability_distributions",
            pd.DataFrame(
                {
                    "run_id": run_id,
                    "y": label,
                    "bin": range(20),
                    "p_lo": edges[:-1],
                    "p_hi": edges[1:],
                    "n": n,
                    "share": n / n.sum(),
                }
            ),
        )


def _bins(run_id, estimator, y, p):
    groups = np.array_split(np.argsort(p), 10)
    rows = [
        {"p_lo": p[g].min(), "p_hi": p[g].max(), "p_mean": p[g].mean(), "observed": y[g].mean(), "n": len(g)}
        for g in groups
    ]
    return pd.DataFrame(rows).assign(run_id=run_id, estimator=estimator, bin=range(10))


def _decision(run_id, y, p):
    frames = []
    for population, prevalence in (("study", y.mean()), ("population", 0.0354)):
        odds = THRESHOLDS / (1 - THRESHOLDS)
        shift = np.log(prevalence / (1 - prevalence)) - np.log(y.mean() / (1 - y.mean()))
        moved = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + shift)))
        benefit = [_net_benefit(y, values, prevalence, odds) for values in (moved, p)]
        frame = {"run_id": run_id, "estimator": "oob", "population": population, "threshold": THRESHOLDS}
        frame |= {"net_benefit": benefit[0], "treat_all": prevalence - (1 - prevalence) * odds}
        frame["net_benefit_pop_unshifted"] = benefit[1] if population == "population" else np.nan
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames)


def _net_benefit(y, p, prevalence, odds):
    sensitivity = (p[y == 1][:, None] >= THRESHOLDS).mean(axis=0)
    false_alarms = (p[y == 0][:, None] >= THRESHOLDS).mean(axis=0)
    return prevalence * sensitivity - (1 - prevalence) * false_alarms * odds


def _baseline(tables, y, rng):
    _run(tables, "age", ("age", "none", "none", "LogisticRegression"), y, rng, kind="baseline")


def _dictionaries(tables, factors, rename):
    registry = load_registry()
    back = {new: old for old, new in rename.items()}
    for stage, names in (factors | {"features": ["simple", "age"]}).items():
        for order, name in enumerate(rename.get(n, n) for n in names):
            known = registry.methods.get((stage, back.get(name, name)))
            colour = "#{:02x}{:02x}{:02x}".format(
                *(int(255 * c) for c in colorsys.hsv_to_rgb(order / 40, 0.6, 0.7))
            )
            _add(
                tables,
                "methods",
                [
                    {
                        "stage": stage,
                        "name": name,
                        "in_study": True,
                        "runnable": True,
                        "sort_order": order,
                        "display_name": known.display_name if known and name not in back else name,
                        "category": known.category
                        if known
                        else ("ensemble", "deep learning", "traditional")[order % 3],
                        "colour": known.colour if known else colour,
                    }
                ],
            )
    for metric in registry.metrics.values():
        _add(
            tables,
            "metrics",
            [
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
            ],
        )


def _quality(tables, cells, rng):
    for i, outlier in enumerate(dict.fromkeys(cell[0] for cell in cells)):
        for kind in ("all", "blink", "loss"):
            right = 1.0 if outlier == "pupil-gt" else 0.9 - 0.1 * (i % 4)
            _add(
                tables,
                "outlier_quality",
                [
                    {
                        "outlier_method": outlier,
                        "artefact_type": kind,
                        "n_samples": 1000,
                        "n_artefact": 100,
                        "tp": int(100 * right),
                        "fp": 10,
                        "fn": 100 - int(100 * right),
                        "tn": 890,
                        "precision": right,
                        "recall": right,
                        "f1": right,
                        "fpr": 0.01 * i,
                        "f1_random": 0.1 if kind == "all" else None,
                        "fit_on": "unlabelled",
                        "evaluated_on": "held-out",
                        "run_id": f"o{i}",
                        "duration_s": 1.0,
                    }
                ],
            )
        flagged = 400 * i
        _add(
            tables,
            "hippus_probe",
            [
                {
                    "outlier_method": outlier,
                    "n_recordings": 20,
                    "n_samples": 40_000,
                    "n_flagged": flagged,
                    "share_flagged": flagged / 40_000,
                    "fit_on": "unlabelled",
                    "run_id": f"o{i}",
                }
            ],
        )
    for i, (outlier, imputation) in enumerate(dict.fromkeys(cell[:2] for cell in cells)):
        for gap in ("all", "up to 0.3 s", "0.3 to 1 s", "longer than 1 s"):
            error = 0.0 if imputation == "pupil-gt" else 0.05 + 0.01 * (i % 7)
            _add(
                tables,
                "imputation_quality",
                [
                    {
                        "outlier_method": outlier,
                        "imputation_method": imputation,
                        "gap": gap,
                        "n_samples": 5000,
                        "mae": error,
                        "mre": error / 5,
                        "mse": error**2,
                        "mae_linear": 0.08,
                        "mre_linear": 0.08 / 5,
                        "mse_linear": 0.08**2,
                        "fit_on": "unlabelled",
                        "unit": "mm",
                        "evaluated_on": "held-out",
                        "run_id": f"i{i}",
                        "duration_s": 2.0,
                    }
                ],
            )


def _examples(tables, cells, rng, n_examples):
    time = np.arange(1981) / 30
    for e in range(n_examples):
        code = f"U{e + 1:03d}"
        truth = 5 - 2.2 * np.exp(-(((time - 21) / 5) ** 2)) - 1.6 * np.exp(-(((time - 52) / 4) ** 2))
        truth += 0.06 * np.sin(time * 1.1) + rng.normal(0, 0.015, len(time))
        mask = np.zeros(len(time), bool)
        for start, length in (
            (3.1, 0.2),
            (12, 1.9),
            (18, 0.3),
            (23.5, 0.25),
            (34, 0.2),
            (49, 0.3),
            (60, 0.2),
        ):
            mask |= (time >= start + e) & (time < start + e + length)
        raw = np.where(mask, truth - 1.5 + rng.normal(0, 0.6, len(time)), truth)
        raw[(time > 12.3 + e) & (time < 13.5 + e)] = np.nan
        _add(
            tables,
            "example_recordings",
            pd.DataFrame(
                {
                    "recording_code": code,
                    "sample": range(len(time)),
                    "time_s": time,
                    "raw": raw,
                    "truth": truth,
                    "truth_mask": mask,
                }
            ),
        )
        lights = [("blue", 15.5, 24.5), ("red", 46.5, 55.5)]
        _add(
            tables,
            "example_light",
            [{"recording_code": code, "colour": c, "onset_s": on, "offset_s": off} for c, on, off in lights],
        )
        imputers = list(dict.fromkeys(cell[1] for cell in cells))[:8]
        for outlier, imputation in dict.fromkeys(cell[:2] for cell in cells if cell[1] in imputers):
            flagged = (mask if outlier == "pupil-gt" else mask ^ (rng.random(len(time)) < 0.01)) | np.isnan(
                raw
            )
            wobble = 0 if imputation == "pupil-gt" else rng.normal(0, 0.2) * np.sin(time * 3)
            imputed = np.where(flagged, truth + wobble, raw)
            _add(
                tables,
                "example_imputations",
                pd.DataFrame(
                    {
                        "outlier_method": outlier,
                        "imputation_method": imputation,
                        "recording_code": code,
                        "sample": range(len(time)),
                        "missing": flagged,
                        "imputed": imputed,
                        "sd": 0.1 if imputation == "SAITS" else np.nan,
                    }
                ),
            )


def _provenance(source):
    return {
        "schema_version": SCHEMA_VERSION,
        "created_at": pd.Timestamp("2026-01-02"),
        "source": source,
        "unit": "mm",
        "cohort_hash": "c0ffee0123456789",
        "resample_id": "5eed",
        "n_subjects": N_SUBJECTS,
        "n_recordings": 80,
        "n_cases": N_CASES,
        "n_controls": N_SUBJECTS - N_CASES,
        "n_unlabelled": 20,
        "n_iterations": N_ITERATIONS,
        "seed": 1,
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
