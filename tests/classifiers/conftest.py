import dataclasses

import pytest

from src.classifiers.tabpfn import _package
from src.networks.weights import FOLDER_VARIABLE, find_weights

NAME = "TabPFN-v2-classifier"


@pytest.fixture(scope="session")
def tiny_tabpfn(tmp_path_factory):
    """A folder of weights with a tiny TabPFN of the package's own architecture; its weights are random."""
    import torch

    _package()
    from tabpfn.architectures import tabpfn_v2

    config = tabpfn_v2.TabPFNV2Config(emsize=16, nlayers=1, nhead=2, max_num_classes=10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = tabpfn_v2.get_architecture(config)
        for parameter in network.parameters():  # some start at 0, and every prediction would be one half
            torch.nn.init.normal_(parameter, std=0.3)
    folder = tmp_path_factory.mktemp("weights")
    (folder / NAME).mkdir()
    (file,) = find_weights(NAME).files
    contents = {"state_dict": network.state_dict(), "config": dataclasses.asdict(config)}
    torch.save(contents | {"architecture_name": "tabpfn_v2"}, folder / NAME / file)
    return folder


@pytest.fixture(autouse=True)
def weights(tiny_tabpfn, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tiny_tabpfn))
