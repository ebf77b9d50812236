"""MOMENT on whole recordings: windows, overlaps, gaps, fine-tuning, and what the methods say without it."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_weights import TINY, line_weights, write_moment

from src.imputation.moment import _away_from_gaps
from src.networks.moment import load_moment
from src.networks.moment_recordings import Reader, Tuning, _tuning_loss, window_starts
from src.networks.pypots import Gaps, draw_gaps
from src.networks.training import Machine, Training
from src.networks.weights import FOLDER_VARIABLE
from src.requirements import NotReady

CONFIGS = Path(__file__).parents[2] / "configs"
METHODS = [path for path in CONFIGS.glob("*/*.yaml") if "\ncheckpoint: MOMENT" in path.read_text()]
every_method = pytest.mark.parametrize("path", METHODS, ids=lambda p: f"{p.parent.name}={p.stem}")
NAN = np.nan


def reader(**changes):
    settings = {"checkpoint": "MOMENT-1-small", "stride": 1, "overlap": 0.5, "batch_size": 8}
    return Reader(**settings | changes, machine=Machine(device="cpu"))


def tuning(tuned="head", epochs=1, hidden_only=True, seed=0):
    return Tuning(tuned, Gaps(0.3, (5, 40)), hidden_only, Training(epochs, 8, 0.01, seed))


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """A network that draws a line through every patch it sees, and the window's mean elsewhere."""
    return load_moment(write_moment(tmp_path_factory.mktemp("lines"), TINY, line_weights(TINY)))


@pytest.fixture
def noise(tmp_path):
    """A random network."""
    return load_moment(write_moment(tmp_path, TINY))


def ramps(length, n=3):
    """Recordings that rise by half over their length, in different units."""
    return np.linspace(3, 4.5, length) * np.array([1.0, 10.0, 0.01])[:n, None]


def test_windows_cover_the_series_and_overlap_as_asked():
    assert window_starts(300, 512, 0.5).tolist() == [0]
    assert window_starts(512, 512, 0.0).tolist() == [0]
    assert window_starts(1024, 512, 0.0).tolist() == [0, 512]
    assert window_starts(1981, 512, 0.5).tolist() == [0, 245, 490, 734, 979, 1224, 1469]
    for steps in (513, 700, 1536, 1981):
        for overlap in (0.0, 0.3, 0.9):
            starts = window_starts(steps, 512, overlap)
            assert starts[0] == 0
            assert starts[-1] == steps - 512
            assert np.diff(starts).max(initial=0) <= max(512 * (1 - overlap), 1)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("length", [61, 300, 512, 1981, 2500])
def test_what_is_seen_in_pieces_is_put_together_again(lines, length, stride):
    shown = ramps(length)
    curve = reader(stride=stride).curves(lines, shown)
    whole = slice(8 * stride, -8 * stride)  # at the ends blocks are held, and a patch begun is hidden
    np.testing.assert_allclose(curve[:, whole], shown[:, whole], rtol=0.02)


def test_recordings_do_not_depend_on_their_company(noise):
    rng = np.random.default_rng(0)
    shown = 4 + rng.normal(size=(11, 700)).cumsum(axis=1) / 30
    shown[rng.random(shown.shape) < 0.01] = NAN
    together = reader().curves(noise, shown)
    np.testing.assert_array_equal(reader().curves(noise, shown[[7]]), together[[7]])


def test_only_what_is_shown_counts(noise):
    shown = ramps(700)
    shown[:, 100:140] = NAN
    assert np.isfinite(reader().curves(noise, shown)).all()
    other = shown.copy()
    other[0, 300] += 1
    differs = reader().curves(noise, other) != reader().curves(noise, shown)
    assert differs[0].any()
    assert not differs[1:].any()


def test_where_no_window_shows_anything_straight_lines_join(lines):
    shown = np.full((1, 3000), NAN)
    shown[0, :400], shown[0, 2600:] = 2.0, 4.0
    curve = reader(overlap=0.0).curves(lines, shown)[0]
    assert curve[200] == pytest.approx(2.0, rel=0.02)
    assert curve[2800] == pytest.approx(4.0, rel=0.02)
    middle = curve[600:2400]
    assert (np.diff(middle) >= -1e-9).all()
    assert 2 < middle[900] < 4


def test_a_single_sample_is_enough_for_a_level(noise):
    shown = np.full((1, 700), NAN)
    shown[0, 650] = 3.0
    np.testing.assert_allclose(reader(stride=4).curves(noise, shown), 3.0, rtol=1e-3)


def test_embeddings_know_shapes_and_no_sizes(noise):
    rng = np.random.default_rng(1)
    pupil = 4 + rng.normal(size=(4, 700)).cumsum(axis=1) / 30
    vectors = reader().vectors(noise, pupil)
    assert vectors.shape == (4, TINY["d_model"])
    np.testing.assert_allclose(reader().vectors(noise, 8 * pupil), vectors)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_an_embedding_is_the_mean_over_windows(noise):
    pupil = 4 + np.sin(np.arange(1024.0) / 20)[None] * np.linspace(1, 2, 1024)
    halves = [reader().vectors(noise, pupil[:, part]) for part in (slice(0, 512), slice(512, 1024))]
    np.testing.assert_allclose(reader(overlap=0.0).vectors(noise, pupil), np.mean(halves, axis=0), atol=1e-5)


def test_the_network_moves_once_for_all_windows_and_comes_back_whatever_happens(noise, monkeypatch):
    moved = []
    monkeypatch.setattr(noise, "to", lambda target: moved.append(str(target)))
    reader(overlap=0.9).curves(noise, ramps(1500))
    reader(overlap=0.9).vectors(noise, ramps(1500))
    assert moved == ["cpu"] * 4
    monkeypatch.setattr(noise, "reconstruct", None)
    with pytest.raises(TypeError):
        reader().curves(noise, ramps(600))
    assert moved == ["cpu"] * 6


def waves(n=24, length=600):
    phase = np.random.default_rng(2).uniform(0, 6, (n, 1))
    return 4 + np.sin(np.arange(length) / 40 + phase)


@pytest.mark.parametrize("tuned", ["head", "all"])
def test_tuning_changes_what_it_may_and_lowers_the_error(noise, tuned):
    pupil = waves()
    shown = pupil.copy()
    shown[:, 200:260] = NAN
    read = reader(stride=4)

    def error():
        return np.abs(read.curves(noise, shown) - pupil).mean()

    before, weights = error(), {name: tensor.clone() for name, tensor in noise.state_dict().items()}
    read.tune(noise, shown, pupil, tuning(tuned, epochs=30, hidden_only=False))
    changed = {name for name, tensor in noise.state_dict().items() if not torch.equal(tensor, weights[name])}
    assert error() < 0.5 * before
    if tuned == "head":
        assert changed == {"head.linear.weight", "head.linear.bias"}
    else:
        unused = {"encoder.embed_tokens.weight", "patch_embedding.position_embedding.pe"}
        assert changed == set(weights) - unused


def test_tuning_repeats_with_its_seed(tmp_path):
    results = []
    for seed in (0, 0, 1):
        network = load_moment(write_moment(tmp_path, TINY))
        reader(stride=4).tune(network, waves(8), waves(8), tuning(seed=seed))
        results.append(network.head.linear.weight.detach().numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0


def test_tuning_copes_with_recordings_of_which_hardly_anything_is_shown(noise):
    shown = np.full((4, 1500), NAN)
    shown[:, 700] = 3.0
    reader().tune(noise, shown, shown, tuning())
    assert all(parameter.isfinite().all() for parameter in noise.parameters())


def test_values_that_are_not_finite_are_an_error(noise):
    with torch.no_grad():
        noise.head.linear.bias.fill_(NAN)
    with pytest.raises(FloatingPointError, match="MOMENT returns values that are not finite"):
        reader().curves(noise, ramps(600))


@pytest.mark.parametrize("hidden_only", [True, False])
def test_what_is_learned_is_the_hidden_alone_or_all(lines, hidden_only):
    """The network draws lines and the mean elsewhere; 2 is the aim wherever something is counted."""
    values, known = np.ones((3, 512)), np.ones((3, 512), dtype=bool)
    target, counted = np.where(np.arange(512) % 2, 2.0, 5.0) * values, known
    gaps = Gaps(0.3, (16, 40))
    loss = _tuning_loss(values, known, target, counted, gaps, hidden_only)
    found = loss(lines, np.arange(3), np.random.default_rng(4)).item()
    rng = np.random.default_rng(4)
    rng.integers(0, 1, 3)  # where the windows start
    hidden = draw_gaps(known, gaps, rng)
    errors = (1.0 - target) ** 2  # all that is shown is 1, and so is all that the network says
    wanted = hidden if hidden_only else known
    assert found == pytest.approx(errors[wanted].mean() / np.var(target), rel=1e-3)


def test_what_lies_beside_a_gap_is_not_shown_unless_nothing_else_is_there():
    observed = np.arange(80.0).reshape(2, 40) + 1
    observed[0, 20:23] = NAN
    observed[1, 4:] = NAN  # what is left lies beside the gap
    shown = _away_from_gaps(observed)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(shown[0])), np.arange(15, 28))
    np.testing.assert_array_equal(shown[1], observed[1])


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="overlap is 1"):
        reader(overlap=1)
    with pytest.raises(ValueError, match="tuned is 'tail'; expected one of head, all"):
        tuning("tail")


def test_imputed_values_come_from_what_was_learned(tmp_path, monkeypatch):
    # The gap hides a whole bump: only the fitted recordings can tell whether it goes up or down.
    write_moment(tmp_path / "MOMENT-1-small", TINY)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    bump = np.exp(-0.5 * ((np.arange(600) - 300) / 30) ** 2)
    rng = np.random.default_rng(8)
    gap = np.zeros((1, 600), dtype=bool)
    gap[0, 220:380] = True
    middle = []
    for sign in (1, -1):
        pupil = 4 + sign * rng.uniform(0.5, 1.5, (24, 1)) * bump + 0.2 * np.cos(np.arange(600) / 15)
        longer = {"tuned": "all", "epochs": 40, "learning_rate": 0.003, "gap_samples": [40, 160]}
        imputer = build(CONFIGS / "imputation" / "MOMENT-finetune.yaml", stride=4, **longer)
        flat = 4 + 0.2 * np.cos(np.arange(600) / 15)[None]
        imputer.fit(pupil, np.zeros(pupil.shape, dtype=bool))
        middle.append(imputer.impute(flat, gap).pupil[0, 300])
    assert middle[0] > middle[1] + 0.6


@every_method
def test_without_weights_the_command_is_named(path, tmp_path, monkeypatch):
    method = build(path)
    method.check_ready()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(NotReady, match=r"python scripts/fetch_weights.py MOMENT-1-small$"):
        method.check_ready()


@every_method
def test_without_the_packages_the_extra_is_named(path, monkeypatch):
    monkeypatch.setattr("src.requirements.find_spec", lambda name: None)
    with pytest.raises(NotReady, match=rf"^{path.stem} needs torch.*pip install 'foundation-plr\[deep\]'"):
        build(path).check_ready()


def build(path, **changes):
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config |= config.pop("profiles", {}).get("smoke", {}) | changes
    module, name = config.pop("_target_").rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**config)
