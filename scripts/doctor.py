"""Look for what is wrong with the installation, the store of runs and the files, and say what to do.

Exits with 1 if there is a problem. Nothing is changed without --clean, which asks before each kind of thing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from src.doctor.finding import Finding, Repair
    from src.doctor.places import Places

DATABASE = ROOT / "data" / "public" / "foundation_plr_results.db"
LISTED = 10  # lines of details; --json has all
STOPPED = 130  # exit status of what Ctrl-C ends, by the shell's convention


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when there is no problem (or none is left), 1 when there is."""
    try:
        try:
            return _run(_options(arguments))
        finally:
            print(end="", flush=True)  # at exit it would be too late to say what is below
    except KeyboardInterrupt:
        print("\nstopped; repeat the command to go on", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what waits would be tried again
        print("nobody reads any more what this prints: stopped", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from src.doctor.examination import examine, examine_installation
    from src.doctor.finding import PROBLEM

    findings = examine_installation()
    if not any(finding.status == PROBLEM for finding in findings):
        findings += examine(_places(options))
    if not options.json:
        for finding in findings:
            print(_lines(finding), flush=True)  # where nobody reads it, nothing is cleaned up
    mended, refused = _clean(findings, options.yes, options.json) if options.clean else ([], [])
    if options.json:
        print(json.dumps([_plain(finding, finding in mended) for finding in findings], indent=1))
    elif not options.clean and any(finding.repair for finding in findings):
        print("What --clean would ask:")
        print("\n".join(f"  {finding.repair.question}" for finding in findings if finding.repair))
    return int(bool(refused) or any(f.status == PROBLEM and f not in mended for f in findings))


def _places(options: argparse.Namespace) -> Places:
    from src.doctor.places import Places
    from src.tracking import default_tracking_uri  # needs packages that may be missing

    uri = options.tracking_uri or default_tracking_uri()
    return Places(uri, options.db.absolute(), Path.cwd(), options.artifact_root)


def _clean(findings: list[Finding], yes: bool, silent: bool) -> tuple[list[Finding], list[Finding]]:
    """Ask about each kind of thing and clean up what is agreed to; return what was, and what could not be."""
    mended: list[Finding] = []
    refused: list[Finding] = []
    for finding in findings:
        if finding.repair and (yes or _agreed(finding.repair.question)):
            (mended if _mend(finding.check, finding.repair, silent) else refused).append(finding)
    return mended, refused


def _mend(check: str, repair: Repair, silent: bool) -> bool:
    """Clean up one kind of thing; say what was done, or why not all could be."""
    from src.doctor.finding import reason
    from src.tracking import TrackingError

    try:
        done = repair.do()
    except (OSError, sqlite3.Error, TrackingError) as error:
        print(f"{check}: not all could be cleaned up ({reason(error)}): mend that first", file=sys.stderr)
        return False
    if not silent:
        print(f"{check}: {done}")
    return True


def _agreed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", flush=True)
    answer = sys.stdin.readline() if sys.stdin else ""  # there is none if it was closed
    if not answer:  # nobody is there to answer
        print()
    return answer.strip().lower() in ("y", "yes")


def _lines(finding: Finding) -> str:
    details = [f"           {line}" for line in finding.details[:LISTED]]
    more = len(finding.details) - LISTED
    details += [f"           and {more} more"] if more > 0 else []
    return "\n".join([f"{finding.status:<8} {finding.check}: {finding.sentence}", *details])


def _plain(finding: Finding, mended: bool) -> dict[str, object]:
    plain = {"check": finding.check, "status": finding.status, "sentence": finding.sentence}
    repair = finding.repair.question if finding.repair else None
    return plain | {"details": list(finding.details), "repair": repair, "mended": mended}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--tracking-uri",
        type=_named,
        help="address of the store of runs (default: the store in this repository)",
    )
    parser.add_argument(
        "--artifact-root", type=_path, help="folder of the artifacts, if not beside the store"
    )
    parser.add_argument("--db", type=_path, default=DATABASE, help="results database (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--clean", action="store_true", help="clean up, after a question for each kind")
    parser.add_argument("--yes", action="store_true", help="answer every question of --clean with yes")
    options = parser.parse_args(arguments)
    try:
        wrong = _wrong(options)
    except PermissionError:  # the checks say so
        wrong = ""
    if wrong:
        parser.error(wrong)
    return options


def _wrong(options: argparse.Namespace) -> str:
    """Return what cannot be meant, in a sentence; nothing if all can."""
    if options.yes and not options.clean:
        return "--yes answers the questions of --clean; add that"
    if options.json and options.clean and not options.yes:
        return "--clean asks; with --json add --yes"
    uri = options.tracking_uri or ""
    if re.match("sqlite:///(?!/)", uri):
        return "--tracking-uri is relative; write sqlite:/// followed by an absolute path"
    if uri.startswith("sqlite:///") and _is_no_file(place := Path(uri.removeprefix("sqlite:///"))):
        return f"{place} is no file; expected the place of an MLflow sqlite file in --tracking-uri"
    if _is_no_file(options.db):
        return f"{options.db} is no file; expected the place of a results database in --db"
    root = options.artifact_root
    if root is not None and not root.is_dir():
        return f"there is no folder {root}; make or mount it, or correct --artifact-root"
    return ""


def _is_no_file(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _named(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty; leave the option out for what is meant without it")
    return text


def _path(text: str) -> Path:
    return Path(_named(text))


if __name__ == "__main__":
    sys.exit(main())
