"""The generator: deterministic, exchangeable without effect, and as hard as the study with one."""

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from src.cohort.cohort import ARTEFACT_TYPES, CohortError
from src.cohort.synthetic import LIGHT_S, generate, generate_hippus


def simple_features(cohort):
    """The eight hand-made features, written down once more from their definition."""
    time, features = cohort.time, {}
    for colour, (onset, offset) in LIGHT_S.items():

        def window(start, end):
            return (time >= start - 1e-9) & (time <= end + 1e-9)

        base = np.median(cohort.truth_pupil[:, window(onset - 5, onset)], axis=1)[:, None]
        change = 100 * (cohort.truth_pupil - base) / base
        features[f"{colour} max"] = change[:, window(onset, onset + 15)].min(axis=1)
        features[f"{colour} phasic"] = change[:, window(onset, onset + 5)].min(axis=1)
        features[f"{colour} sustained"] = change[:, window(offset - 5, offset)].min(axis=1)
        features[f"{colour} pipr_auc"] = 12 * change[:, window(offset, offset + 12)].mean(axis=1)
    return features


def cohens_d(values, label):
    sick, well = values[label == 1], values[label == 0]
    return (sick.mean() - well.mean()) / np.sqrt((sick.var(ddof=1) + well.var(ddof=1)) / 2)


def oracle_auroc(cohort):
    """Out-of-sample AUROC of a logistic regression on the clean signals."""
    table = np.column_stack(list(simple_features(cohort).values()))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    p = cross_val_predict(model, table, cohort.labels, cv=5, method="predict_proba")[:, 1]
    return roc_auc_score(cohort.labels, p)


@pytest.fixture(scope="module")
def default():
    return generate(seed=5)


def test_default_is_the_study(default):
    assert default.pupil.shape == (507, 1981)
    assert default.time[-1] == 66.0
    assert [np.sum(default.labels == label) for label in (0, 1)] == [152, 56]
    assert np.isnan(default.labels).sum() == 299
    assert default.source == "synthetic"
    assert default.unit == "mm"
    assert not np.isnan(default.truth_pupil).any()
    sizes = {"H": 152, "G": 56, "U": 299}
    expected = {f"{letter}{k:03d}" for letter, size in sizes.items() for k in range(1, size + 1)}
    codes = default.subjects["code"]
    assert len(codes) == len(expected)
    assert set(codes) == expected
    np.testing.assert_array_equal(codes.str[0].map({"H": 0, "G": 1, "U": np.nan}), default.labels)


def test_positions_tell_nothing_of_the_class(default):
    labelled = ~np.isnan(default.labels)
    label, rows = default.labels[labelled], np.arange(len(default))
    assert abs(roc_auc_score(label, rows[labelled]) - 0.5) < 0.1
    assert abs(roc_auc_score(labelled, rows) - 0.5) < 0.1
    n_changes = np.count_nonzero(np.diff(label))  # 1 if sorted; by chance 82 +- 6 of 207
    assert 65 < n_changes < 99


def test_same_seed_same_cohort_other_seed_another():
    first, again, other = (generate(12, 4, 4, seed=seed) for seed in (1, 1, 2))
    assert first.content_hash == again.content_hash != other.content_hash


def test_recorded_signal_is_clean_signal_and_noise_outside_artefacts(default):
    difference = (default.pupil - default.truth_pupil) / default.truth_pupil.mean(axis=1, keepdims=True)
    assert np.abs(difference[~default.truth_mask]).max() < 0.045 * 8
    noise = np.array([d[~m].std() for d, m in zip(difference, default.truth_mask, strict=True)])
    assert 0.008 < np.median(noise) < 0.014
    assert np.isnan(default.pupil[default.truth_mask]).any()
    assert (default.truth_mask == (default.artefact_type > 0)).all()


def test_artefacts_of_every_type_span_the_studys_shares(default):
    share = default.truth_mask.mean(axis=1)
    assert share.min() < 0.006
    assert 0.2 < share.max() < 0.6
    assert 0.015 < np.median(share) < 0.04
    assert set(np.unique(default.artefact_type)) == set(range(len(ARTEFACT_TYPES)))
    nan_types = {ARTEFACT_TYPES[code] for code in np.unique(default.artefact_type[np.isnan(default.pupil)])}
    assert nan_types == {"blink", "loss"}


def test_artefact_lengths():
    cohort = generate(200, 100, 50, seed=3, artefact_load=0.3)
    for name, shortest, longest in (("loss", 30, 90), ("readout", 1, 3)):
        is_type = cohort.artefact_type == ARTEFACT_TYPES.index(name)
        edges = np.diff(np.pad(is_type, ((0, 0), (1, 1))).astype(int), axis=1)
        length = np.argwhere(edges == -1)[:, 1] - np.argwhere(edges == 1)[:, 1]
        assert length.max() <= 2 * longest  # two may touch
        assert np.median(length) >= shortest


def test_artefact_load_scales_and_zero_is_clean():
    clean, light, heavy = (generate(60, 30, 20, seed=1, artefact_load=load) for load in (0.0, 1.0, 20.0))
    assert clean.truth_mask.sum() == 0
    assert light.truth_mask.mean() < 0.1
    assert heavy.truth_mask.mean() > 0.3
    np.testing.assert_array_equal(clean.truth_pupil, heavy.truth_pupil)


def test_artefacts_tell_nothing_of_the_class_unless_asked():
    same = generate(1000, 500, 500, seed=1)
    share = same.truth_mask.mean(axis=1)
    assert ks_2samp(share[same.labels == 0], share[same.labels == 1]).pvalue > 0.01
    linked = generate(400, 200, 200, seed=1, glaucoma_load_factor=3.0)
    share = linked.truth_mask.mean(axis=1)
    assert np.median(share[linked.labels == 1]) > 2 * np.median(share[linked.labels == 0])


def test_size_of_effect():
    cohort = generate(2000, 1000, 1000, seed=11, artefact_load=0.0)
    d = {name: cohens_d(values, cohort.labels) for name, values in simple_features(cohort).items()}
    assert all(0.9 < d[f"blue {name}"] < 1.45 for name in ("max", "sustained", "pipr_auc"))
    assert d["blue phasic"] < d["blue sustained"]
    assert all(d[f"red {name}"] < d[f"blue {name}"] for name in ("max", "phasic", "sustained", "pipr_auc"))
    assert 0.88 < oracle_auroc(cohort) < 0.95


def test_deficit_grows_with_severity():
    cohort = generate(1500, 0, 1500, seed=2, artefact_load=0.0)
    pipr = simple_features(cohort)["blue pipr_auc"]
    assert np.corrcoef(pipr, cohort.subjects["severity"])[0, 1] > 0.3


def test_without_effect_classes_are_exchangeable():
    cohort = generate(2000, 1000, 1000, seed=4, effect=0.0, glaucoma_load_factor=3.0)
    checked = {
        **simple_features(cohort),
        "age": cohort.subjects["age"].to_numpy(),
        "load": cohort.truth_mask.mean(axis=1),
    }
    p = [ks_2samp(v[cohort.labels == 0], v[cohort.labels == 1]).pvalue for v in checked.values()]
    assert min(p) > 0.05 / len(p)
    assert 0.46 < oracle_auroc(cohort) < 0.54


def test_ages_follow_the_study():
    cohort = generate(1500, 750, 750, seed=4)
    age = cohort.subjects["age"].to_numpy()
    assert abs(np.median(age[cohort.labels == 0]) - 55.2) < 3
    assert abs(np.median(age[cohort.labels == 1]) - 68.5) < 2


def test_no_diagnosis_means_the_same_mixture():
    cohort = generate(1500, 400, 100, seed=9, artefact_load=0.0)
    sick = cohort.subjects["severity"][np.isnan(cohort.labels)] > 0
    assert abs(sick.mean() - 0.2) < 0.04


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"n_recordings": 3, "n_controls": 2, "n_glaucoma": 2}, "n_recordings is 3"),
        ({"n_controls": -1}, "n_controls -1"),
        ({"effect": -0.1}, "effect is -0.1"),
        ({"artefact_load": -1}, "artefact_load -1"),
    ],
)
def test_parameters_out_of_range(wrong, named):
    with pytest.raises(CohortError, match=named):
        generate(**wrong)


@pytest.mark.parametrize(("length", "rate_hz"), [(1981, 30), (300, 30), (2500, 30), (990, 15), (4000, 60)])
def test_recordings_of_hippus_alone_have_any_length_and_rate_and_nothing_to_flag(length, rate_hz):
    time = 5 + np.arange(length) / rate_hz
    made = generate_hippus(time, 12, seed=3)
    np.testing.assert_array_equal(made.time, time)
    assert made.pupil.shape == (12, length) and np.isfinite(made.pupil).all()
    assert not made.truth_mask.any() and not made.light
    assert np.isnan(made.labels).all()
    np.testing.assert_array_equal(made.pupil, generate_hippus(time, 12, seed=3).pupil)
    assert not np.array_equal(made.pupil, generate_hippus(time, 12, seed=4).pupil)


def test_hippus_alone_is_hippus_drift_and_noise_without_a_response():
    made = generate_hippus(np.arange(1981) / 30, 200, seed=5)
    sd = made.truth_pupil.std(axis=1)
    assert sd.min() > 0.05 and sd.max() < 0.4  # SDs of 0.05 to 0.2 mm of hippus, 0.03 to 0.3 mm of drift
    noise = (made.pupil - made.truth_pupil).std(axis=1) / made.truth_pupil.mean(axis=1)
    assert noise.min() > 0.0035 and noise.max() < 0.05
    assert np.ptp(made.truth_pupil.mean(axis=0)) < 0.1  # nothing that all eyes do together: light does 2 mm
