"""Methods as the pipeline builds them, for the tests that find them by listing the config folders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from src import settings
from src.combination import MIN_MEMBERS, Step
from src.train import CONFIGS, register_resolvers


@cache
def step_of(stage: str, name: str, *words: str) -> Step:
    """Read a method's config the way a run does, with the smoke profile unless `words` say otherwise."""
    register_resolvers()
    words = (f"{stage}={name}", "profile=smoke", *words)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", list(words))
    return settings._step(config, stage, name, words).of_ready_members()


def build(path: Path, **changes: Any) -> Any:
    """Make the method of a config file; skip the test where it lacks something on this machine.

    An ensemble gets the first of its members only: a contract does not depend on how many there are.
    """
    step = step_of(path.parent.name, path.stem)
    if reason := step.lacks():
        pytest.skip(reason)
    members = dict(list(step.members.items())[:MIN_MEMBERS])
    return replace(step, parameters={**step.parameters, **changes}, members=members).build()
