"""Work on a SLURM cluster: sent as an array through submitit, followed by its records and by `squeue`."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

from src.logs import log_to_terminal

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "slurm"
"""Where SLURM's own files lie, in the folder of the sweep."""

_MAX_ARRAY = 1000  # about SLURM's own default
_PATIENCE_S = 60  # with a command of SLURM
_OVER = re.compile("BOOT_FAIL|CANCELLED|COMPLETED|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|TIMEOUT")

log = logging.getLogger(__name__)


class ClusterError(RuntimeError):
    """The cluster cannot be used; the message says why, and what to do."""


class Work(Protocol):
    """A piece of work that any machine can do; it can be pickled."""

    def __call__(self) -> Any:
        """Do it, and leave a record."""

    def record(self) -> dict[str, Any] | None:
        """Return the record it left, if it is there."""

    def give_up(self, reason: str) -> None:
        """Leave the record that it is lost."""


@dataclass(frozen=True)
class Slurm:
    """What is asked of SLURM; the fields are those of `configs/hydra/launcher/slurm.yaml`."""

    minutes: int
    memory: str | None = None
    partition: str | None = None
    account: str | None = None
    array_parallelism: int = 64
    combinations_per_task: int = 1
    setup: Sequence[str] = ()
    sbatch: Mapping[str, Any] = field(default_factory=dict)
    poll_s: float = 10
    grace_s: float = 60

    def __post_init__(self) -> None:
        for name in ("minutes", "array_parallelism", "combinations_per_task"):
            value = getattr(self, name)
            self._expect(name, type(value) is int and value >= 1, "a whole number, at least 1")
        for name, least in (("poll_s", 0.01), ("grace_s", 0)):
            value = getattr(self, name)
            self._expect(name, type(value) in (int, float) and value >= least, f"seconds, at least {least}")
        lines = isinstance(self.setup, Sequence) and not isinstance(self.setup, str)
        self._expect(
            "setup", lines and all(isinstance(line, str) for line in self.setup), "a list of lines of shell"
        )
        self._expect("sbatch", isinstance(self.sbatch, Mapping), "options of sbatch and their values")

    def _expect(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ClusterError(f"hydra.launcher.{name} is {getattr(self, name)!r}; expected {what}")

    def options(self, name: str, cores: int) -> dict[str, Any]:
        """Return the options of sbatch under which a job of this name is sent."""
        minutes = self.minutes * self.combinations_per_task
        chosen: dict[str, Any] = {"job_name": name, "cpus_per_task": cores, "time": minutes}
        chosen |= {"partition": self.partition, "account": self.account, "mem": self.memory}
        chosen |= {"chdir": str(ROOT), **self.sbatch}
        return {key.replace("-", "_"): value for key, value in chosen.items() if value is not None}


def check(slurm: Slurm, cores: int) -> None:
    """Raise `ClusterError` where nothing could be sent: a job is sent, held back and cancelled."""
    for program in ("sbatch", "squeue", "scancel", "scontrol", "srun"):  # submitit looks for the last
        if shutil.which(program) is None:
            raise ClusterError(
                f"there is no {program} on PATH; hydra/launcher=slurm sends work from a machine with SLURM's "
                "commands: start it on the cluster's login node"
            )
    _load_submitit()
    flags = [_flag(key, value) for key, value in slurm.options("plr-check", cores).items()]
    job = _ask("sbatch", "--parsable", "--hold", "--output=/dev/null", *flags, "--wrap=true")
    _ask("scancel", job.partition(";")[0].strip())


def send_and_wait(
    work: Sequence[Work],
    slurm: Slurm,
    name: str,
    folder: Path,
    cores: int = 1,
    ended: Callable[[dict[str, Any]], None] = lambda record: None,
) -> None:
    """Have SLURM do pieces of work, and wait for the record of each.

    What leaves the queue without a record is given up. An interruption cancels what was sent; any other error
    lets it run, and says so.

    Parameters
    ----------
    work : sequence of Work
    slurm : Slurm
    name : str
        Of the array; no other job of the user may have it.
    folder : Path
        Where scripts, pickles and output of the tasks go, on a disk that all machines share.
    cores : int, optional
        Of each task.
    ended : callable, optional
        Called with each record.

    Raises
    ------
    ClusterError
        If SLURM takes none of it.
    """
    cancel = ("scancel", f"--user={os.getuid()}", f"--name={name}")
    tasks: dict[str, list[Work]] = {}
    try:
        tasks = _send(work, slurm, name, folder, cores)
        _Watch(tasks, slurm, name, ended).until_all_ended()
    except KeyboardInterrupt:
        print(f"cancelling the SLURM tasks of {name}", file=sys.stderr, flush=True)
        _ask(*cancel)
        raise
    except Exception:
        if tasks:
            print(f"the SLURM tasks of {name} run on; to end them: {' '.join(cancel)}", file=sys.stderr)
        raise


def compute(work: Sequence[Work]) -> None:
    """Do pieces of work one after the other, on a node; an error costs the piece it came from.

    SLURM may start a task again on another node: what has a record is not done again.
    """
    log_to_terminal()
    signal.signal(signal.SIGTERM, _end)
    errors = 0
    for piece in work:
        try:
            if piece.record() is None:
                piece()
        except Exception:  # noqa: BLE001 - it is in the task's file, where the record will point to
            traceback.print_exc()
            errors += 1
    if errors:
        sys.exit(1)


def running_task() -> str:
    """Return the SLURM task this process belongs to, such as '12_3'; empty outside SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID", "")


def _end(number: int, frame: Any) -> None:
    """End in order, with the process that computes; submitit would ignore what SLURM says."""
    raise SystemExit(f"ended by SLURM with {signal.Signals(number).name}: a limit, scancel or preemption")


def _send(work: Sequence[Work], slurm: Slurm, name: str, folder: Path, cores: int) -> dict[str, list[Work]]:
    """Send the work as arrays as large as SLURM takes them; what a later one is refused is given up."""
    n_tasks = -(-len(work) // slurm.combinations_per_task)
    # Dealt out in turns, so that what comes first is begun first.
    shares = [list(work[k::n_tasks]) for k in range(n_tasks)]
    size = _max_array_size()
    tasks: dict[str, list[Work]] = {}
    for first in range(0, n_tasks, size):
        array = shares[first : first + size]
        try:
            tasks |= zip(_send_array(array, slurm, name, folder, cores), array, strict=True)
        except ClusterError as refused:
            if not tasks:
                raise
            tasks[""] = [*tasks.get("", []), *(piece for share in array for piece in share)]
            for share in array:
                for piece in share:
                    piece.give_up(str(refused))
    return tasks


def _send_array(
    shares: Sequence[Sequence[Work]], slurm: Slurm, name: str, folder: Path, cores: int
) -> list[str]:
    submitit = _load_submitit()
    executor = submitit.SlurmExecutor(folder)
    options = slurm.options(name, cores)
    executor.update_parameters(
        time=options.pop("time"),
        array_parallelism=slurm.array_parallelism,
        setup=list(slurm.setup),
        additional_parameters=options,
        use_srun=False,  # one process on one node needs no step, and a step no network
        wckey=None,
    )
    said = StringIO()
    try:
        with redirect_stderr(said):
            jobs = executor.map_array(compute, shares)
    except submitit.core.utils.FailedJobError:
        raise ClusterError(_refusal("sbatch", said.getvalue())) from None
    ids = [job.job_id for job in jobs]
    array = ids[0].partition("_")[0]
    print(f"sent to SLURM as {array}, named {name}, tasks: {len(ids)}", flush=True)
    return ids


class _Watch:
    """Follows tasks until every piece of their work has a record."""

    def __init__(
        self,
        tasks: Mapping[str, list[Work]],
        slurm: Slurm,
        name: str,
        ended: Callable[[dict[str, Any]], None],
    ) -> None:
        self.left = {task: list(work) for task, work in tasks.items()}
        self.slurm, self.name, self.ended = slurm, name, ended
        self.gone: dict[str, float] = {}
        self.silent = False
        self.kinds: set[str] = set()

    def until_all_ended(self) -> None:
        """Look at the records, then at the queue, now and again."""
        while self._read_records():
            queued = self._queue()
            if queued is not None:
                self._tell(queued)
                self._give_up_lost(queued)
            time.sleep(self.slurm.poll_s)

    def _read_records(self) -> bool:
        """Report what has a record now; return whether there is more to come."""
        for task, work in list(self.left.items()):
            waiting = []
            for piece in work:
                record = piece.record()
                if record is None:
                    waiting.append(piece)
                else:
                    self.ended(record)
            if waiting:
                self.left[task] = waiting
            else:
                del self.left[task]
        return bool(self.left)

    def _tell(self, queued: Mapping[str, str]) -> None:
        """Say what the queue does where there is another state or reason than before."""
        if set(queued.values()) != self.kinds:
            states = sorted(Counter(queued.values()).items())
            print(f"tasks of {self.name}:", ", ".join(f"{n} {state}" for state, n in states) or "none left")
            sys.stdout.flush()
        self.kinds = set(queued.values())

    def _queue(self) -> dict[str, str] | None:
        """Return the tasks that wait or run; None while SLURM does not answer."""
        try:
            queued = queued_tasks(self.name)
        except ClusterError as error:
            if not self.silent:
                log.warning("%s; waiting until it answers again", error)
            self.silent = True
            return None
        self.silent = False
        return queued

    def _give_up_lost(self, queued: Mapping[str, str]) -> None:
        """Give up what left the queue some time ago: on a shared disk, records may come late."""
        now = time.monotonic()
        self.gone = {task: self.gone.get(task, now) for task in self.left if task not in queued}
        for task, since in self.gone.items():
            if now - since >= self.slurm.grace_s and since < now:
                reason = f"{_end_of(task)}; its output: {FOLDER}/{task}_0_log.err"
                for piece in self.left[task]:  # the next look reports their records
                    piece.give_up(reason)


def queued_tasks(name: str) -> dict[str, str]:
    """Return the user's tasks that wait or run, of the jobs of one name: 'running', 'pending (Priority)'.

    Raises
    ------
    ClusterError
        If SLURM does not answer.
    """
    whose = (f"--user={os.getuid()}", f"--name={name}")
    listed = _ask("squeue", "--noheader", "--array", "--format=%F|%K|%T|%r", *whose)
    tasks = {}
    for job, index, state, reason in re.findall(r"^(\d+)\|(\S+)\|(\w+)\|(.*)$", listed, re.MULTILINE):
        why = f" ({reason})" if state == "PENDING" else ""
        tasks[f"{job}_{index}" if index.isdigit() else job] = state.lower() + why
    return tasks


def _end_of(task: str) -> str:
    """Say what SLURM still knows of a task that left no record."""
    try:
        told = dict(re.findall(r"(\w+)=(\S+)", _ask("scontrol", "--oneliner", "show", "job", task)))
    except ClusterError:
        told = {}
    if not _OVER.fullmatch(told.get("JobState", "")):
        return f"the SLURM task {task} left the queue without a record, and SLURM knows no reason any more"
    known = ("JobState", "Reason", "ExitCode", "BatchHost")
    state, reason, code, node = (told.get(key, "unknown") for key in known)
    return f"the SLURM task {task} left no record: {state}, reason {reason}, exit {code} on {node}"


def _max_array_size() -> int:
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"))
    return int(found[1]) if found else _MAX_ARRAY


def _flag(key: str, value: Any) -> str:
    option = f"--{key.replace('_', '-')}"
    return option if value is True else f"{option}={value}"


def _ask(*command: str) -> str:
    """Return what a command of SLURM prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{command[0]} does not answer") from None
    if done.returncode:
        raise ClusterError(_refusal(command[0], done.stderr))
    return done.stdout


def _refusal(command: str, said: str) -> str:
    """Return what SLURM said in one sentence."""
    lines = [line.removeprefix(f"{command}: ").removeprefix("error: ").strip() for line in said.splitlines()]
    return f"{command} refuses: {'; '.join(filter(None, lines)) or 'it does not say why'}"


def _load_submitit() -> Any:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # or it closes the handlers of others
    try:
        import submitit
    except ModuleNotFoundError:
        raise ClusterError(
            "hydra/launcher=slurm needs submitit: pip install --constraint constraints.txt -e '.[cluster]'"
        ) from None
    return submitit
