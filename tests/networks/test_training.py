"""The training loop: seeded, resumed bit for bit, stopped early, finite, and torch left as it was."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.networks import checkpoints
from src.networks.checkpoints import keep_in
from src.networks.training import Machine, Training, train

HOW = Training(epochs=6, batch_size=4, learning_rate=0.02, seed=3)
STOPPED = replace(HOW, epochs=60, patience=3, held_out_share=0.2)
N = 20


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1)
        )


class Regression:
    """Squared error with noise on the input, so that the loss draws too; can die at a call."""

    def __init__(self, dies_at=None, noise=0.1):
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(N, 5))
        self.y = self.x.sum(axis=1)
        self.noise = noise
        self.calls, self.dies_at = 0, dies_at

    def __call__(self, module, rows, rng):
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        x = self.x[rows] + self.noise * rng.normal(size=(len(rows), 5))
        predicted = module(torch.as_tensor(x, dtype=torch.float32))[:, 0]
        return ((predicted - torch.as_tensor(self.y[rows], dtype=torch.float32)) ** 2).mean()


def trained(how=HOW, loss=None, seed=0):
    module = network(seed)
    train(module, loss or Regression(), N, how, Machine())
    return module


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)


def test_training_lowers_the_loss_and_repeats():
    loss = Regression(noise=0)
    rng, rows = np.random.default_rng(0), np.arange(N)
    one, before = trained(replace(HOW, epochs=60)), network().eval()
    assert loss(one, rows, rng) < 0.3 * loss(before, rows, rng)
    assert not one.training
    assert same(trained(), trained())
    assert not same(trained(), trained(replace(HOW, seed=4)))


def test_every_epoch_is_reported_to_whoever_asked(tmp_path):
    told = []
    with keep_in(tmp_path, lambda *epoch: told.append(epoch)):
        trained()
    assert [epoch[:2] for epoch in told] == [(done, 6) for done in range(1, 7)]
    assert all(reached.startswith("loss ") for *_, reached in told)


@pytest.mark.parametrize("how", [HOW, STOPPED], ids=["all epochs", "stopped early"])
@pytest.mark.parametrize("epoch", [2, 5])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, after_every_epoch, how, epoch):
    whole = Regression()
    expected = trained(how, whole)
    per_epoch = 5 if how is HOW else 4 + 1  # batches of up to 4 of 20, or of 16 and one of 4 held out
    killed = Regression(dies_at=(epoch - 1) * per_epoch + 3)
    with pytest.raises(KeyboardInterrupt), keep_in(tmp_path / "here"):
        trained(how, killed)
    resumed = Regression()
    with keep_in(tmp_path / "here"):
        assert same(trained(how, resumed), expected)
    assert resumed.calls == whole.calls - (epoch - 1) * per_epoch
    again = Regression()
    with keep_in(tmp_path / "here"):
        assert same(trained(how, again), expected)
    assert again.calls == 0


def test_several_networks_have_checkpoints_of_their_own(tmp_path):
    with keep_in(tmp_path):
        first, second = trained(), trained(seed=1)
    assert len(list(tmp_path.iterdir())) == 2
    with keep_in(tmp_path):
        losses = Regression(), Regression()
        assert same(trained(loss=losses[0]), first) and same(trained(loss=losses[1], seed=1), second)
    assert [loss.calls for loss in losses] == [0, 0]


@pytest.mark.parametrize("changed", [{"how": replace(HOW, learning_rate=0.01)}, {"seed": 1}])
def test_a_checkpoint_of_other_settings_is_not_used(tmp_path, changed, caplog):
    with keep_in(tmp_path):
        trained()
    with keep_in(tmp_path):
        assert same(trained(**changed), trained(**changed))
    assert caplog.text == ""


@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "other", "cut off"])
def test_a_damaged_checkpoint_is_said_and_training_starts_over(tmp_path, caplog, content):
    with keep_in(tmp_path):
        trained()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-200] if content is None else content)
    with keep_in(tmp_path), caplog.at_level(logging.WARNING):
        resumed = trained()
    assert same(resumed, trained())
    assert caplog.messages == [f"the checkpoint {file} is damaged: training starts over"]


@pytest.mark.parametrize(
    "where", [("weights", "0.bias"), ("best", "3.weight"), ("optimizer", "state"), ("epoch",)]
)
def test_a_checkpoint_that_lacks_something_is_said_and_replaced(tmp_path, caplog, after_every_epoch, where):
    with pytest.raises(KeyboardInterrupt), keep_in(tmp_path):
        trained(STOPPED, Regression(dies_at=14))
    (file,) = tmp_path.iterdir()
    saved = place = torch.load(file, weights_only=True)
    for key in ("state", *where[:-1]):
        place = place[key]
    del place[where[-1]]
    torch.save(saved, file)
    with keep_in(tmp_path), caplog.at_level(logging.WARNING):
        assert same(trained(STOPPED), trained(STOPPED))
    assert caplog.messages == [f"the checkpoint {file} is damaged: training starts over"]
    with keep_in(tmp_path):
        assert same(trained(STOPPED), trained(STOPPED))
    assert len(caplog.messages) == 1


def test_a_checkpoint_of_other_trained_weights_is_not_used(tmp_path, caplog):
    def head_alone():
        module = network()
        module[0].requires_grad_(False)
        train(module, Regression(), N, HOW, Machine())
        return module

    with keep_in(tmp_path):
        trained()
    with keep_in(tmp_path):
        resumed = head_alone()
    assert same(resumed, head_alone()) and caplog.text == ""


def test_a_checkpoint_holds_tensors_only_and_no_draft_stays(tmp_path):
    with keep_in(tmp_path):
        trained(STOPPED)
    (file,) = tmp_path.iterdir()
    saved = torch.load(file, weights_only=True)["state"]
    assert set(saved) == {"weights", "optimizer", "epoch", "best", "best_epoch", "best_loss"}


def test_without_a_place_nothing_is_written(tmp_path, monkeypatch, after_every_epoch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "save", None)
    trained()
    assert list(tmp_path.iterdir()) == []


def test_early_stopping_goes_back_to_the_best_weights():
    """The loss of what is held out is read off the epoch: it falls for four epochs and rises from then on."""
    epoch, seen = 0, {}
    curve = [9.0, 5.0, 4.0, 2.0, 3.0, 2.0, 2.5, 1.0]

    def loss(module, rows, rng):
        nonlocal epoch
        if module.training:
            return (module(torch.ones(len(rows), 5)) ** 2).mean()
        seen[epoch] = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        epoch += 1
        return torch.tensor(curve[epoch - 1])

    module = network()
    train(module, loss, N, replace(STOPPED, held_out_share=0.05), Machine())
    assert epoch == 7  # the best was the fourth; a tie is no gain
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, seen[3][name])
        assert not torch.equal(tensor, seen[6][name])


def test_recordings_held_out_are_not_trained_on_and_are_looked_at_the_same_way():
    fitted, compared, noise = set(), [], []

    def loss(module, rows, rng):
        if module.training:
            fitted.update(rows.tolist())
        else:
            compared.append(rows.tolist())
            noise.append((rng.random(), torch.rand(1).item()))
        return (module(torch.ones(len(rows), 5)) ** 2).mean()

    train(network(), loss, N, replace(STOPPED, batch_size=20), Machine())
    assert len(compared[0]) == 4
    assert fitted.isdisjoint(compared[0]) and len(fitted) == 16
    assert all(rows == compared[0] for rows in compared) and len(set(noise)) == 1


def test_frozen_parameters_stay():
    module = network()
    module[0].requires_grad_(False)
    before = module[0].weight.clone(), module[3].weight.clone()
    train(module, Regression(), N, HOW, Machine())
    assert torch.equal(module[0].weight, before[0])
    assert not torch.equal(module[3].weight, before[1])


@pytest.mark.parametrize(
    ("value", "what"), [(float("nan"), "the loss is nan"), (float("inf"), "the loss is inf")]
)
def test_a_loss_that_is_not_finite_names_the_epoch(value, what):
    calls = 0

    def loss(module, rows, rng):
        nonlocal calls
        calls += 1
        good = (module(torch.ones(len(rows), 5)) ** 2).mean()
        return good * value if calls > 5 else good

    with pytest.raises(FloatingPointError, match=f"training diverged in epoch 2: {what}"):
        train(network(), loss, N, HOW, Machine())


def test_a_weight_that_is_not_finite_names_the_epoch():
    def loss(module, rows, rng):  # finite itself, with an infinite slope at 0
        return (module[3].bias * 0 + module[0].weight.mean() * 0).abs().sqrt().sum()

    with pytest.raises(FloatingPointError, match="training diverged in epoch 1: a weight is not finite"):
        train(network(), loss, N, replace(HOW, batch_size=N), Machine())


def test_torch_s_own_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(network(), Regression(), N, STOPPED, Machine(n_jobs=threads + 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_progress_goes_to_stderr_and_only_when_asked(capsys):
    train(network(), Regression(), N, STOPPED, Machine(verbose=True))
    out, err = capsys.readouterr()
    assert out == "" and "Sequential" in err
    trained()
    assert capsys.readouterr() == ("", "")


def test_too_few_recordings_are_refused():
    with pytest.raises(ValueError, match="training needs 2 recordings at least; there are 1"):
        train(network(), Regression(), 1, STOPPED, Machine())
