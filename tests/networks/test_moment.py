"""MOMENT against its authors' implementation, a slow twin, and what must hold whatever the weights are."""

import json
import sys
import warnings
from pathlib import Path

import moment_twin
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tiny_weights import SMALL, TINY, moment_config, moment_shapes, moment_weights, write_moment

from src.networks.moment import Moment, load_moment

RECORDED = Path(__file__).with_name("moment_authors.json")
EVERY = 5  # of the samples are recorded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_moment(tmp_path_factory.mktemp("moment"), TINY)


@pytest.fixture(scope="module")
def network(folder):
    return load_moment(folder)


def series():
    """Six series of two channels with masks: padding before and after, hidden gaps, single hidden samples."""
    t, number = np.arange(512.0), np.arange(6.0)[:, None, None]
    channel = np.arange(2.0)[None, :, None]
    x = 4 + np.sin(t / (9 + number + 3 * channel)) + 0.3 * np.cos(t * t / (500 + number))
    padding, hidden = np.ones((6, 512)), np.ones((6, 512))
    padding[1, 400:] = padding[2, :37] = 0
    hidden[0, 100:140] = hidden[1, 13:17] = hidden[3, ::50] = hidden[4, :256] = hidden[5, 8:16] = 0
    return tuple(torch.tensor(array, dtype=torch.float32) for array in (x, padding, hidden))


def outputs(network):
    x, padding, hidden = series()
    with torch.no_grad():
        return network.reconstruct(x, padding, hidden).numpy(), network.embed(x, padding).numpy()


@pytest.mark.parametrize("sizes", [TINY, SMALL], ids=["tiny", "MOMENT-1-small"])
def test_parameters_have_the_published_names_and_shapes(sizes):
    with torch.device("meta"):
        state = Moment(moment_config(sizes)).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == moment_shapes(sizes)


def test_the_positions_are_the_checkpoint_s():
    made = Moment(moment_config(TINY)).state_dict()["patch_embedding.position_embedding.pe"].numpy()
    # float32 angles up to 5000: their own rounding is 2e-4
    np.testing.assert_allclose(made, moment_weights(TINY)["patch_embedding.position_embedding.pe"], atol=5e-4)


def test_outputs_are_those_recorded_from_the_authors_implementation(network):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    reconstruction, embedding = outputs(network)
    np.testing.assert_allclose(reconstruction[..., ::EVERY], recorded["reconstruction"], atol=1e-4)
    np.testing.assert_allclose(embedding, recorded["embedding"], atol=1e-4)


def test_outputs_are_those_of_the_authors_package(folder, network):
    pytest.importorskip("momentfm", reason="the authors' package is not installed")
    for ours, theirs in zip(outputs(network), authors_outputs(folder), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def authors_outputs(folder):
    """Run the authors' package (momentfm 0.1.4) on the same weights and series."""
    x, padding, hidden = series()
    with torch.no_grad():
        return (
            authors(folder, "reconstruction")(
                x_enc=x, input_mask=padding, mask=hidden
            ).reconstruction.numpy(),
            authors(folder, "embedding")(x_enc=x, input_mask=padding).embeddings.numpy(),
        )


def authors(folder, task):
    from momentfm import MOMENTPipeline

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other heads are not pre-trained
        pipeline = MOMENTPipeline(config, model_kwargs={"task_name": task})
        pipeline.init()
    weights = {name: torch.tensor(array) for name, array in load_file(folder / "model.safetensors").items()}
    if task == "embedding":
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("head")}
    pipeline.load_state_dict(weights, strict=True)
    return pipeline.eval()


def test_outputs_are_those_of_a_slow_twin(network):
    weights = {name: array.astype(float) for name, array in moment_weights(TINY).items()}
    x, padding, hidden = (tensor[:3].numpy().astype(float) for tensor in series())
    reconstruction, embedding = outputs(network)
    for row in range(3):
        twin = moment_twin.reconstruct(weights, TINY, x[row, 1], padding[row], hidden[row])
        np.testing.assert_allclose(reconstruction[row, 1], twin, atol=1e-4)
    channels = [moment_twin.embed(weights, TINY, x[1, channel], padding[1]) for channel in range(2)]
    np.testing.assert_allclose(embedding[1], np.mean(channels, axis=0), atol=1e-4)


def test_what_is_hidden_does_not_matter(network):
    x, padding, hidden = series()
    left_out = (hidden * padding == 0)[:, None]
    whole = hidden.unflatten(-1, (-1, 8)).all(-1).repeat_interleave(8, -1).bool()[:, None]
    with torch.no_grad():
        expected = network.reconstruct(x, padding, hidden)
        nothing = network.reconstruct(torch.where(left_out, torch.nan, x), padding, hidden)
        # a patch hidden in part is hidden as a whole, but its samples still say what the level is
        level = network.reconstruct(torch.where(whole, x, x.flip(-1)), padding, hidden)
    seen = padding.unflatten(-1, (-1, 8)).all(-1).repeat_interleave(8, -1).bool()[:, None].expand_as(x)
    torch.testing.assert_close(nothing[seen], expected[seen])
    assert (level[3] - expected[3]).abs().max() > 1e-3


def test_the_unit_comes_back(network):
    x, padding, hidden = series()
    with torch.no_grad():
        one, other = network.reconstruct(x, padding, hidden), network.reconstruct(3 * x - 7, padding, hidden)
    torch.testing.assert_close(other, 3 * one - 7, atol=1e-3, rtol=0)


def test_a_series_of_which_nothing_is_seen_has_no_level(network):
    x, padding, hidden = series()
    hidden[0] = 0
    with torch.no_grad():
        result = network.reconstruct(x, padding, hidden)
    assert result[0].isnan().all()
    assert result[1:].isfinite().all()


def test_a_file_that_lacks_a_parameter_or_has_one_too_many_is_refused(tmp_path):
    folder = write_moment(tmp_path / "less", TINY)
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"head.more": np.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"head\.more.*get them anew: python scripts/fetch_weights\.py less"):
        load_moment(folder)
    weights.pop("head.linear.bias")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"head\.linear\.bias"):
        load_moment(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"the weights less cannot be read \(KeyError"):
        load_moment(folder)


def test_a_checkpoint_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="patches that overlap"):
        Moment(moment_config(TINY) | {"patch_stride_len": 4})


def test_torch_s_generator_stays_as_it_was(folder):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_moment(folder)
    assert torch.equal(torch.rand(2), expected)


if __name__ == "__main__":  # records the outputs of the authors' package
    made = authors_outputs(write_moment(Path(sys.argv[1]), TINY))
    reconstruction, embedding = (np.round(array, 6).tolist() for array in (made[0][..., ::EVERY], made[1]))
    RECORDED.write_text(json.dumps({"reconstruction": reconstruction, "embedding": embedding}))
