"""Search for the hyper-parameters of a classifier by cross-validation, with Optuna."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from src.evaluation.resampling import EvaluationError, apparent_random_state, check_labels
from src.requirements import need_packages

OPTIMISTIC = "hyper-parameters were chosen once on all labelled subjects, those that resamples leave out too"
"""Why the estimates of a tuned run flatter it."""

JOURNAL = "study.jsonl"
_KEYS = {"float": {"low", "high", "log"}, "int": {"low", "high", "log"}, "categorical": {"choices"}}


@dataclass(frozen=True)
class Tuning:
    """How hyper-parameters are searched for.

    Parameters
    ----------
    n_trials : int
        Settings that are tried, the classifier's own first.
    n_folds : int
        Folds of the cross-validation, stratified by class, a subject's recordings in one fold.
    seed : int
        Seed of the folds, of the fits and of the sampler.
    """

    n_trials: int
    n_folds: int
    seed: int

    def check_ready(self, search: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any]) -> None:
        """Raise an error where a search is known to fail.

        Parameters
        ----------
        search, own : mapping
            See `tune`.

        Raises
        ------
        NotReady
            If the package optuna is not installed.
        EvaluationError
            If the space cannot be searched.
        """
        need_packages("tune=optuna", "tune", ("optuna",))
        _check_space(search, own)


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Parameters
    ----------
    parameters : dict
        The best settings.
    score : float
        Their cross-validated Brier score.
    trials : list of dict
        One row per trial: `number`, `brier`, `seconds`, then the parameters.
    importances : dict
        Share of the scatter of the Brier score that each parameter explains; empty where it does not
        scatter.
    journal : str
        The study as Optuna's journal file, one JSON object per line.
    """

    parameters: dict[str, Any]
    score: float
    trials: list[dict[str, Any]]
    importances: dict[str, float]
    journal: str


def tune(
    build: Callable[..., Any],
    own: Mapping[str, Any],
    search: Mapping[str, Mapping[str, Any]],
    X: np.ndarray,
    y: np.ndarray,
    groups: Sequence[str],
    how: Tuning,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Find the parameters with the lowest cross-validated Brier score.

    The Brier score of all out-of-fold predictions together, as it is the one that names the best combination
    in the end, is proper, and is bounded: a single confident error does not decide as it does with the log
    loss. The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24) of Optuna
    (Akiba et al. 2019, KDD, doi 10.1145/3292500.3330701). The classifier's own settings, as far as they are
    in the space, are tried first, so that the search never returns anything worse than them on its folds.

    Parameters
    ----------
    build : callable
        Makes the classifier from parameters.
    own : mapping
        Its parameters as they are without a search.
    search : mapping
        Parameter -> {type: float or int, low, high, log} or {type: categorical, choices}.
    X : ndarray, shape (n, k)
        Features; NaN where undefined.
    y : ndarray, shape (n,)
        Labels 0/1.
    groups : sequence of str, length n
        The subject of each recording.
    how : Tuning
    progress : callable, optional
        Called with (trials done, trials in all).

    Raises
    ------
    EvaluationError
        If the space cannot be searched.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    labels = check_labels(y)
    how.check_ready(search, own)
    folds = _folds(labels, groups, how)

    def objective(trial: optuna.Trial) -> float:
        chosen = {name: _suggest(trial, name, space) for name, space in search.items()}
        classifier = build(**{**own, **chosen})
        classifier.set_params(random_state=apparent_random_state(how.seed))
        return _cross_validated(classifier, X, labels, folds)

    with _quiet(optuna), TemporaryDirectory(prefix="plr-study-") as folder:
        journal = Path(folder) / JOURNAL
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=optuna.samplers.TPESampler(seed=how.seed),
            direction="minimize",
            study_name="tuning",
        )
        study.enqueue_trial({name: own[name] for name, space in search.items() if _within(own[name], space)})
        for done in range(how.n_trials):
            study.optimize(objective, n_trials=1)
            if progress is not None:
                progress(done + 1, how.n_trials)
        trials = [
            {"number": t.number, "brier": t.value, "seconds": t.duration.total_seconds()} | t.params
            for t in study.trials
            if t.value is not None and t.duration is not None
        ]
        importances = _importances(optuna, study, how.seed)
        return Tuned(study.best_params, study.best_value, trials, importances, journal.read_text("utf-8"))


def _folds(y: np.ndarray, groups: Sequence[str], how: Tuning) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = min(len({g for g, label in zip(groups, y, strict=True) if label == c}) for c in (0, 1))
    if not 2 <= how.n_folds <= subjects or how.n_trials < 1:
        raise EvaluationError(
            f"tune.n_folds is {how.n_folds}, tune.n_trials {how.n_trials}; expected at least one trial, and "
            f"2 to {subjects} folds, the subjects of the smaller class"
        )
    splitter = StratifiedGroupKFold(how.n_folds, shuffle=True, random_state=how.seed)
    return list(splitter.split(np.zeros((len(y), 1)), y, np.asarray(groups)))


def _cross_validated(classifier: Any, X: np.ndarray, y: np.ndarray, folds: Sequence[Any]) -> float:
    """Return the Brier score of all out-of-fold predictions."""
    from sklearn.base import clone

    p = np.full(len(y), np.nan)
    for train, test in folds:
        p[test] = clone(classifier).fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    return float(np.mean((p - y) ** 2))


def _check_space(search: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any]) -> None:
    """Refuse a space with unknown parameters, types or keys."""
    if not search:
        raise EvaluationError(
            "the classifier has no search space: its config needs the key search, with a parameter that was "
            "not set by hand; or run with tune=none"
        )
    for name, space in search.items():
        kind = space.get("type")
        if name not in own:
            raise EvaluationError(f"search has {name!r}, which is no parameter; there is: {', '.join(own)}")
        needed = _KEYS.get(str(kind), set()) - {"log"}
        if not needed <= set(space) <= _KEYS.get(str(kind), set()) | {"type"}:
            raise EvaluationError(
                f"search.{name} is {dict(space)}; expected type float or int with low, high and perhaps log, "
                "or categorical with choices"
            )


def _suggest(trial: Any, name: str, space: Mapping[str, Any]) -> Any:
    if space["type"] == "categorical":
        return trial.suggest_categorical(name, list(space["choices"]))
    suggest = trial.suggest_int if space["type"] == "int" else trial.suggest_float
    return suggest(name, space["low"], space["high"], log=bool(space.get("log", False)))


def _within(value: Any, space: Mapping[str, Any]) -> bool:
    """Whether a value can be tried; one that a library chooses for itself, None, cannot."""
    if space["type"] == "categorical":
        return value in space["choices"]
    return value is not None and space["low"] <= value <= space["high"]


def _importances(optuna: Any, study: Any, seed: int) -> dict[str, float]:
    """Return functional ANOVA importances (Hutter et al. 2014, ICML), which need values that differ."""
    if len({trial.value for trial in study.trials}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Keep Optuna from announcing every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
