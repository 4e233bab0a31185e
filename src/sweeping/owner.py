"""Who runs a trial, and whether that process still lives.

A dead process cannot say that it died, so every trial names its process: host, process id and the moment
the process started, because ids are used again. On the same host that settles it at once. A process
elsewhere cannot be looked up; it writes the time beside its trials every half minute, and counts as dead
when it has been silent ten times as long.
"""

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

BEAT = 30.0  # seconds between two signs of life
SILENCE = 300.0  # seconds after which a process on another host counts as dead; leaves room for clocks that differ


def me() -> dict[str, Any]:
    """This process, as others can recognise it."""
    pid = os.getpid()
    return {"host": platform.node(), "pid": pid, "started": started(pid)}


def alive(owner: dict[str, Any], beat: float, now: float) -> bool:
    """Whether the process lives.

    Args:
        owner: what ``me`` said there.
        beat: its last sign of life, in seconds since the epoch.
        now: the time.
    """
    if owner["host"] == platform.node():
        return started(owner["pid"]) == owner["started"] is not None
    return now - beat < SILENCE


def started(pid: int) -> str | None:
    """When the process started, in the system's own words; None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command's name may hold spaces and brackets; the fields behind it do not.
            fields = file.read().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if os.path.isdir("/proc/self"):
        return None
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


class Heartbeat:
    """Calls ``beat`` every half minute until stopped; a storage that fails to answer is tried again."""

    def __init__(self, beat: Callable[[float], None]) -> None:
        self._beat = beat
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._beat(time.time())
            except Exception:  # the sweep itself will meet the fault and say it
                continue
