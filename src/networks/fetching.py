"""Download of pretrained weights: resumed, verified, and complete or not there at all."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from src.networks.weights import Weights, WeightsFile, digest_of

SOURCE = "https://huggingface.co"
_CHUNK = 1 << 20
_TIMEOUT_S = 60


class FetchError(RuntimeError):
    """Weights that could not be had; the message says why, and what to do."""


def fetch(weights: Weights, folder: Path, say: Callable[[str], None] = print, source: str = SOURCE) -> None:
    """Download what is not there yet of some weights, and verify all of it.

    A file is written under another name and gets its own only when its SHA-256 is that of the table; what an
    interrupted download left behind is continued.

    Parameters
    ----------
    weights : Weights
    folder : Path
        Is made if it does not exist.
    say : callable
        Gets a line per file.
    source : str
        Address of the repository's host.

    Raises
    ------
    FetchError
        If the host cannot be reached, does not have the file, or sends another one.
    OSError
        If the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, facts in weights.files.items():
        target = folder / name
        if target.exists():
            if digest_of(target) != facts.sha256:
                raise FetchError(
                    f"{target} is not the published file (its SHA-256 differs); move it away to fetch that, "
                    "or leave it to be used as it is"
                )
            say(f"  {name}: is there already, SHA-256 as published")
            continue
        draft = folder / f".{name}.part"
        _download(f"{source}/{weights.repository}/resolve/{weights.revision}/{name}", draft, name)
        _verify(draft, name, facts)
        draft.replace(target)
        say(f"  {name}: {target.stat().st_size / 1e6:.1f} MB, SHA-256 as published")


def _download(address: str, draft: Path, name: str) -> None:
    """Write the file at `address` to `draft`, going on where it ends."""
    done = draft.stat().st_size if draft.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            _store(response, draft, done if response.status == 206 else 0, name)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # else all of it is there, or more: the hash will tell
            raise FetchError(f"{address}: the host answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(
            f"cannot download {address} ({reason}). With a network, the same command goes on where it "
            f"stopped; without one, fetch the files on another machine and copy them to {draft.parent}"
        ) from error


def _store(response: Any, draft: Path, done: int, name: str) -> None:
    """Append what comes to the first `done` bytes of `draft`."""
    from tqdm import tqdm

    announced = int(response.headers.get("Content-Length") or 0)
    with (
        draft.open("ab" if done else "wb") as file,
        tqdm(total=done + announced or None, initial=done, desc=name, unit="B", unit_scale=True) as bar,
    ):
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        if announced and file.tell() < done + announced:
            raise ConnectionError(f"the connection ended after {file.tell()} bytes")


def _verify(draft: Path, name: str, facts: WeightsFile) -> None:
    found = digest_of(draft)
    if found != facts.sha256:
        size = draft.stat().st_size
        draft.unlink()
        raise FetchError(
            f"{name} is not the published file and was deleted: {size} bytes with SHA-256 {found}; expected "
            f"{facts.sha256}. Try again; if it stays so, the host or something on the way changes files"
        )
