"""How much memory is free, and a mistake of the user's in place of a process that the kernel kills."""

import os
from pathlib import Path

from src.errors import UserError

_CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """Bytes that this process may still take."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        free = int(line.split()[1]) << 10
    except (OSError, StopIteration):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 4 << 30
    try:  # a container's own limit
        most, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return min(free, max(int(most) - int(used), 0)) if most.isdecimal() else free
    except (OSError, ValueError):
        return free


def check_room(needed: int, what: str) -> None:
    """Refuses what does not fit, before it is allocated.

    Args:
        needed: bytes.
        what: needs them, in words that begin the message.

    Raises:
        UserError: less is free.
    """
    if needed > (free := available()):
        raise UserError(f"{what} needs {needed / 2**30:,.3g} GiB of memory, free are {free / 2**30:,.3g}")
