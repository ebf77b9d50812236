"""Launchers for Hydra, which takes them from here only: in turn, `joblib` and `slurm`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

ConfigStore.instance().store("basic", {"_target_": f"{__name__}.InTurnLauncher"}, group="hydra/launcher")


class InTurnLauncher(BasicLauncher):
    """Hydra's own, which runs one job after the other; what a user can mend is said in one sentence."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs."""
        from src.sweep import clear_errors

        with clear_errors():
            return super().launch(job_overrides, initial_job_idx)


class _ByOthers(Launcher):
    """Composes the jobs one after another in the command's process; they are computed by others."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a job needs."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs, in another order than they are given in; return what Hydra keeps of each."""
        from src.parallel import in_turns
        from src.sweep import clear_errors

        setup_globals()
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)
        _leave_cores_to_others()
        with clear_errors(), self.others():
            returns = {k: self._start(initial_job_idx + k, job_overrides[k]) for k in in_turns(job_overrides)}
        return [returns[k] for k in sorted(returns)]

    @abstractmethod
    def others(self) -> AbstractContextManager[None]:
        """Return a block in which jobs are handed in; it ends when they are done."""

    def _start(self, number: int, overrides: Sequence[str]) -> JobReturn:
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,  # it would take the handlers away while workers use them
        )


class WorkersLauncher(_ByOthers):
    """Up to `n_jobs` of the jobs are computed on this machine while others are composed."""

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def others(self) -> AbstractContextManager[None]:
        """Start the workers."""
        from src.parallel import workers

        return workers(self.n_jobs)


class SlurmLauncher(_ByOthers):
    """All jobs are composed, and what is not finished is sent to a SLURM cluster then."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    @staticmethod
    def check(config: DictConfig) -> None:
        """Refuse, before anything is on record, what the cluster will not take."""
        from src.cluster import Slurm, check

        _leave_cores_to_others()
        settings: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
        del settings["_target_"]
        check(Slurm(**settings), config.evaluation.n_jobs)

    def others(self) -> AbstractContextManager[None]:
        """Collect the jobs, and send them at the end."""
        from src.cluster import Slurm
        from src.sweep import on_slurm

        return on_slurm(Slurm(**self.settings))


def _leave_cores_to_others() -> None:
    """Give a combination one core unless evaluation.n_jobs says otherwise."""
    OmegaConf.register_new_resolver("available_cores", lambda: 1, replace=True)
