"""Run one combination of methods, or with `-m` all combinations of a sweep: `python -m src.train --help`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from src.config_snapshot import keep_configs
from src.isolation import available_cores
from src.registry import load_registry
from src.source_snapshot import keep_sources

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
STOPPED = 130  # exit status of what Ctrl-C ends, by the shell's convention


def register_resolvers() -> None:
    """Make `${repository:}`, `${available_cores:}` and the methods without a config known to the configs."""
    OmegaConf.register_new_resolver("repository", lambda: str(CONFIGS.parent), replace=True)
    OmegaConf.register_new_resolver("available_cores", available_cores, replace=True)
    for method in load_registry().methods.values():
        if not method.runnable:
            node = {"_target_": "src.requirements.NotHereYet", "stage": method.stage, "name": method.name}
            ConfigStore.instance().store(method.name, node, group=method.stage)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def _job(config: DictConfig) -> None:
    from src.sweep import run_job

    run_job(config)


def main() -> None:
    """Run the command line; what it reads of this project, it reads as it is now."""
    keep_sources()
    keep_configs(CONFIGS)
    register_resolvers()
    # Hydra's grammar has no bare words; this one is short for the default sweep.
    words = ["sweeps=default" if word == "sweeps" else word for word in sys.argv[1:]]
    # argparse takes words after a flag for its own if others stood before it.
    sys.argv[1:] = sorted(words, key=lambda word: word not in ("-m", "--multirun"))
    try:
        try:
            _job()
        finally:
            print(end="", flush=True)  # at exit it would be too late to say what is below
    except SystemExit as stop:
        if type(stop) is SystemExit and stop.code == 1:  # Hydra's own exit; a failed run has one of ours
            from src.settings import explain_unknown_keys

            explain_unknown_keys(sys.argv[1:])
        raise
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one was", file=sys.stderr)
        sys.exit(STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what waits would be tried again
        print("nobody reads any more what this prints: stopped", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
