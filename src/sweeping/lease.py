"""Who runs a trial, and whether that process still lives.

A dead process cannot say that it died, so every process locks a file of its own in the sweep's folder and names it in
its trials: the kernel lets go of the lock with the process, and no clock is asked. A process elsewhere, whose folder
is not to be seen from here and which shares a database only, writes the time beside its trials every half minute, and
counts as dead when it has been silent ten times as long.
"""

import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from src.runs.lock import held, hold

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LEASE = "plumbline:lease"  # of a trial: the file that the process which runs it holds, absolute
HEARTBEAT = "plumbline:heartbeat"  # of a trial in a database: its process's last sign of life, seconds since the epoch
PERIOD = 30.0  # seconds between two signs of life
SILENCE = 300.0  # seconds after which a process elsewhere counts as dead; leaves room for clocks that differ


class Lease:
    """The file that this process holds while it runs trials of the sweep in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.path = leases(folder) / f"{platform.node()}-{os.getpid()}-{uuid4().hex[:8]}"
        self.path.parent.mkdir(exist_ok=True)
        self._file = self.path.open("ab")
        hold(self._file.fileno())

    def release(self) -> None:
        """As the kernel does it when the process dies, and the file goes too."""
        self._file.close()
        with suppress(OSError):  # the last one takes the folder with it
            self.path.unlink()
            self.path.parent.rmdir()


def leases(folder: Path) -> Path:
    """Where the processes of a sweep have their files."""
    return folder.absolute() / "leases"


def at_work(trial: "FrozenTrial", folder: Path) -> bool:
    """Whether the process that runs a trial of the sweep in ``folder`` lives."""
    path = Path(trial.system_attrs.get(LEASE, "none"))
    for place in (path, leases(folder) / path.name):  # a container may see the folder elsewhere
        if (found := held(place)) is not None:
            return found
    return time.time() - trial.system_attrs.get(HEARTBEAT, 0.0) < SILENCE


def job_at_work(trial: "FrozenTrial", folder: Path) -> bool:
    """Whether the job of a trial goes on by itself, as one of Slurm's does: it holds its run folder."""
    return bool(held(folder / str(trial.number)))


def clear(folder: Path) -> None:
    """Removes the files of dead processes; while the study's lock is held, so that no new one is not yet locked."""
    for path in leases(folder).glob("*"):
        if held(path) is False:
            path.unlink(missing_ok=True)
