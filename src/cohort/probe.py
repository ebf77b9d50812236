"""A file that somebody made is read in a process of its own first.

DuckDB checks what it reads by checksums. Where these were forged too, it may crash, or read in circles.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from src.cohort.cohort import CohortError

_ROOT = Path(__file__).resolve().parents[2]
_LEAST_S, _BYTES_PER_S = 5, 5_000_000  # of the processor; the study's file takes two seconds


def check_ends(path: Path) -> None:
    """See that a cohort file can be read to its end.

    Parameters
    ----------
    path : Path
        What else is wrong with it is for `src.cohort.file` to say.

    Raises
    ------
    CohortError
        If reading it crashes, or does not end.
    """
    command = [sys.executable, "-m", "src.cohort.probe", str(path.absolute())]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        raise CohortError(
            f"{path.name}: a process that tried to read it was ended by signal {-done.returncode}: reading "
            "it crashes or does not end; it is damaged, or made to do harm: copy it again"
        )


def _read(path: Path) -> None:
    import resource

    from src.cohort.file import read_cohort

    limit = _LEAST_S + path.stat().st_size // _BYTES_PER_S
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        read_cohort(path)
    except CohortError:
        return  # the command that asked reads it again, and says so


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
