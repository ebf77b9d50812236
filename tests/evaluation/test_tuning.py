"""The search for hyper-parameters: finds a planted optimum, repeats, and holds subjects together."""

import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedGroupKFold

from src.evaluation.resampling import EvaluationError, apparent_random_state
from src.evaluation.tuning import Tuning, tune
from src.requirements import NotReady

Y = np.r_[np.zeros(24, dtype=np.int8), np.ones(16, dtype=np.int8)]
GROUPS = [f"s{i // 2}" for i in range(40)]  # two recordings of each subject
X = np.random.default_rng(0).normal(size=(40, 2))
LINE = {"at": {"type": "float", "low": -10.0, "high": 10.0}}


class Planted(ClassifierMixin, BaseEstimator):
    """A classifier whose Brier score is (0.1 + ((at - 3) / 20)^2)^2 on any rows; `kind` bad adds to it."""

    seen: list = []  # noqa: RUF012 - what the fits of a test were given

    def __init__(self, at=0.0, kind="good", random_state=None):
        self.at, self.kind, self.random_state = at, kind, random_state

    def fit(self, rows, y):
        Planted.seen.append((len(rows), self.random_state))
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, rows):
        truth = Y[[int(np.flatnonzero((row == X).all(axis=1))[0]) for row in rows]]
        off = 0.1 + ((self.at - 3) / 20) ** 2 + 0.2 * (self.kind == "bad")
        p = np.where(truth == 1, 1 - off, off)
        return np.column_stack([1 - p, p])


def search(space=LINE, own=None, **changes):
    how = Tuning(**({"n_trials": 25, "n_folds": 4, "seed": 1} | changes))
    return tune(Planted, own or {"at": 0.0, "kind": "good"}, space, X, Y, GROUPS, how)


def test_a_planted_optimum_is_found_and_the_classifier_s_own_setting_is_tried_first():
    tuned = search()
    assert abs(tuned.parameters["at"] - 3) < 0.5
    assert tuned.trials[0]["at"] == 0.0
    assert tuned.trials[0]["brier"] == pytest.approx((0.1 + (3 / 20) ** 2) ** 2)
    assert tuned.score == min(row["brier"] for row in tuned.trials) < tuned.trials[0]["brier"]
    assert len(tuned.trials) == 25
    assert tuned.importances == {"at": 1.0}


def test_the_same_seed_finds_the_same():
    again = [search(n_trials=12) for _ in range(2)]
    assert again[0].parameters == again[1].parameters
    assert again[0].importances == again[1].importances
    values = [[row["at"] for row in tuned.trials] for tuned in again]
    assert values[0] == values[1]
    assert values[0] != [row["at"] for row in search(n_trials=12, seed=2).trials]


def test_other_types_of_parameters_and_what_cannot_be_tried_first():
    space = {
        "at": {"type": "int", "low": 1, "high": 64, "log": True},
        "kind": {"type": "categorical", "choices": ["good", "bad"]},
    }
    tuned = search(space, {"at": None, "kind": "bad"})
    assert tuned.trials[0]["kind"] == "bad"
    assert tuned.parameters["kind"] == "good" and tuned.parameters["at"] in (2, 3, 4)
    assert isinstance(tuned.parameters["at"], int)
    assert tuned.importances["kind"] > 0 and sum(tuned.importances.values()) == pytest.approx(1)


def test_subjects_stay_together_and_every_fit_has_the_same_random_state(monkeypatch):
    Planted.seen.clear()
    splits = []
    split = StratifiedGroupKFold.split

    def watched(self, *given):
        splits.extend(split(self, *given))
        return iter(splits)

    monkeypatch.setattr(StratifiedGroupKFold, "split", watched)
    search(n_trials=3)
    assert len(splits) == 4
    for train, test in splits:
        assert not {GROUPS[i] for i in train} & {GROUPS[i] for i in test}
        assert set(Y[test]) == {0, 1}
    assert [n for n, _ in Planted.seen] == 3 * [len(train) for train, _ in splits]
    assert {state for _, state in Planted.seen} == {apparent_random_state(1)}


def test_the_journal_is_a_study_that_optuna_reads(tmp_path):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    tuned = search(n_trials=4)
    assert all(isinstance(json.loads(line), dict) for line in tuned.journal.splitlines())
    (tmp_path / "study.jsonl").write_text(tuned.journal)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.jsonl")))
    study = optuna.load_study(study_name="tuning", storage=storage)
    assert study.best_params == tuned.parameters
    assert [trial.value for trial in study.trials] == [row["brier"] for row in tuned.trials]


def test_where_nothing_matters_no_importance_is_told():
    assert (
        search({"kind": {"type": "categorical", "choices": ["good", "fine"]}}, n_trials=3).importances == {}
    )


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "no search space"),
        ({"C": {"type": "float", "low": 0, "high": 1}}, "'C', which is no parameter; there is: at, kind"),
        ({"at": {"type": "real", "low": 0, "high": 1}}, "expected type float or int"),
        ({"at": {"type": "float", "low": 0}}, "expected type float or int"),
        ({"at": {"type": "categorical", "low": 0, "high": 1}}, "expected type float or int"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, message):
    with pytest.raises(EvaluationError, match=message):
        search(space)


@pytest.mark.parametrize("changes", [{"n_folds": 1}, {"n_folds": 9}, {"n_trials": 0}])
def test_folds_and_trials_that_cannot_be_had_are_refused(changes):
    with pytest.raises(EvaluationError, match=r"at least one trial, and 2 to 8 folds"):
        search(**changes)


def test_without_optuna_the_command_is_named(monkeypatch):
    how = Tuning(1, 2, 0)
    how.check_ready(LINE, {"at": 0.0})
    monkeypatch.setattr("src.requirements.find_spec", lambda name: None)
    with pytest.raises(NotReady, match=r"pip install 'foundation-plr\[tune\]'"):
        how.check_ready(LINE, {"at": 0.0})
