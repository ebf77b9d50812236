"""Which code and which libraries made a result."""

from __future__ import annotations

import platform
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of Python and of every installed package that can influence a result."""
    lines = [line for line in metadata.requires("foundation-plr") or [] if 'extra == "dev"' not in line]
    wanted = [re.match(r"[\w.-]+", line) for line in lines]
    installed = {d.name.lower(): d.version for d in metadata.distributions()}
    found = {m[0]: installed[m[0].lower()] for m in wanted if m and m[0].lower() in installed}
    return {"python": platform.python_version()} | found


@cache
def code_commit() -> str:
    """Return the commit of the code, '+changes' if files differ from it, 'unknown' outside a checkout."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def accelerator(device: str) -> str:
    """Return what runs on a device: 'cpu', or the name of a GPU.

    Parameters
    ----------
    device : str
        'auto' (a GPU if there is one), or torch's name of one.
    """
    if device == "cpu":
        return "cpu"
    import torch

    from src.networks.device import torch_device

    target = torch_device(device)
    return torch.cuda.get_device_name(target) if target.type == "cuda" else target.type


def _git(*arguments: str) -> str | None:
    # the checkout may belong to another user, as in containers; its own configuration is not what is asked
    command = ["git", "-c", f"safe.directory={_ROOT}", "-C", str(_ROOT), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if answer.returncode < 0:
        raise ChildProcessError(f"git was ended by signal {-answer.returncode} when asked for the commit")
    return answer.stdout.strip() if answer.returncode == 0 else None
