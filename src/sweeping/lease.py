"""Who runs a trial, and whether that process still lives.

A dead process cannot say that it died, so every trial names its process: host, process id and the moment
the process started, because ids are used again. On the same host that settles it at once. A process
elsewhere cannot be looked up; it writes the time beside its trials every half minute, and counts as dead
when it has been silent ten times as long.
"""

import os
import platform
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OWNER = "plumbline:owner"  # of a trial: the process that runs it
BEAT = "plumbline:beat"  # of a trial: that process's last sign of life, in seconds since the epoch
PERIOD = 30.0  # seconds between two signs of life
SILENCE = 300.0  # seconds after which a process on another host counts as dead; leaves room for clocks that differ


def me() -> dict[str, Any]:
    """This process, as others can recognise it."""
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "started": started(pid)}


def at_work(trial: "FrozenTrial") -> bool:
    """Whether the process that runs a trial lives."""
    owner = trial.system_attrs.get(OWNER)
    if owner is None:
        return False
    if owner["host"] == platform.node():
        return started(owner["pid"]) == owner["started"] is not None
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - trial.system_attrs.get(BEAT, begun) < SILENCE


def started(pid: int) -> str | None:
    """When the process started, in the system's own words; None where there is no such process."""
    if os.path.isdir("/proc/self"):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # The command's name may hold spaces and brackets; the fields behind it do not.
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
