"""Removes runs that came to nothing, after asking: whole folders, and only those that hold what a run wrote."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from src.errors import UserError, nearest
from src.runs.folder import RunFolder
from src.runs.listing import Wanted
from src.runs.lock import held
from src.runs.status import DIVERGED, FAILED, INTERRUPTED, PRUNED

_CLEANED = (FAILED, DIVERGED, INTERRUPTED, PRUNED, "unfinished")


def clean(wanted: Wanted, status: Any, yes: bool) -> None:
    """Lists the runs below a folder that ended so, asks, and removes them; those of sweeps belong to their sweeps.

    Args:
        wanted: which of them.
        status: failed, diverged, interrupted, pruned or unfinished.
        yes: whether to remove them without asking.

    Raises:
        UserError: that is no such end, or nobody can be asked.
    """
    if status not in _CLEANED:
        raise UserError(f"clean={status}: expected runs without a result{nearest(str(status), list(_CLEANED))}")
    if not isinstance(yes, bool):
        raise UserError(f"yes must be true or false, found {yes!r}")
    root = Path(str(wanted.folder))
    if (root / "multirun.yaml").is_file() or (root / "sweep.json").is_file():
        raise UserError(f"folder={root}: is a sweep's, whose study counts on its runs: nothing is removed")
    runs = [run for run in replace(wanted, status=status).runs()[: wanted.limit] if not run.is_sweep]
    removable = []
    for run in runs:
        if reason := why_kept(run.path):
            print(f"kept     {run.path}: {reason}")
        else:
            print(f"removes  {run.path}")
            removable.append(run.path)
    if not removable:
        print(f"{root}: there is nothing to remove")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UserError("nobody can be asked here, so nothing was removed: yes=true removes them")
        if input(f"remove these {len(removable)}? yes or no: ").strip().lower() not in ("y", "yes"):
            print("nothing was removed")
            return
    for path in removable:
        if reason := why_kept(path):  # somebody may have taken it up while we asked
            print(f"kept     {path}: {reason}")
            continue
        rmtree(path)  # which takes links away and leaves what they lead to
        with suppress(OSError):  # another run of that day is there
            path.parent.rmdir()
    print(f"removed {sum(not path.exists() for path in removable)}")


def why_kept(path: Path) -> str | None:
    """Why a folder is not removed; None where a run of ours wrote all of it and nobody is at work there."""
    if held(path):
        return "a process is at work there"
    if not RunFolder(path).is_ours():
        return "was not written by a run of this program, or holds a link"
    if other := RunFolder(path).others():
        return f"holds {other[0]}, which no run wrote"
    return None
