"""The table of weights, and where they lie."""

import hashlib
import re

import pytest

from src.networks.weights import (
    FOLDER_VARIABLE,
    find_weights,
    load_weights,
    place_of,
    unpublished_files,
    weights_folder,
    weights_identity,
)
from src.requirements import NotReady

SMALL = "MOMENT-1-small"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def put(folder, name, contents=b"x"):
    (folder / name).mkdir()
    for file in find_weights(name).files:
        (folder / name / file).write_bytes(contents)


@pytest.mark.parametrize("weights", load_weights().values(), ids=lambda w: w.name)
def test_every_entry_is_pinned(weights):
    assert re.fullmatch(r"[0-9a-f]{40}", weights.revision)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", weights.repository)
    assert weights.licence
    for facts in weights.files.values():
        assert re.fullmatch(r"[0-9a-f]{64}", facts.sha256)


def test_without_the_files_the_command_is_named(folder):
    with pytest.raises(NotReady, match=rf"python scripts/fetch_weights.py {SMALL}$"):
        weights_folder(SMALL)


def test_a_folder_that_lacks_one_file_is_not_ready(folder):
    put(folder, SMALL)
    assert weights_folder(SMALL) == folder / SMALL
    (folder / SMALL / "config.json").unlink()
    with pytest.raises(NotReady, match=r"\(config.json\)"):
        weights_folder(SMALL)


def test_an_unknown_name_is_answered_with_the_known_ones(folder):
    with pytest.raises(ValueError, match=r"no weights are called 'MOMENT'.*MOMENT-1-small, MOMENT-1-base"):
        weights_folder("MOMENT")


def test_the_identity_is_that_of_the_files_that_are_there(folder):
    published = {file: facts.sha256 for file, facts in find_weights(SMALL).files.items()}
    assert weights_identity(SMALL) == published
    assert unpublished_files(SMALL) == unpublished_files("MOMENT") == {}
    put(folder, SMALL, b"mine")
    mine = hashlib.sha256(b"mine").hexdigest()
    assert weights_identity(SMALL) == unpublished_files(SMALL) == dict.fromkeys(published, mine)
    assert weights_identity("MOMENT") == {}


def test_weights_lie_in_the_checkout_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert place_of(SMALL).parts[-3:] == ("data", "weights", SMALL)
