"""How many members a stack holds: as many as memory takes, and no more than the cache likes."""

import os

from src.stacking.nets import StackedNet

_CACHE = 6 << 20  # bytes of hidden values that one layer's pass may touch on a CPU: about a core's cache, not measured
_SHARE = 4  # a stack takes at most this part of the free memory: 1 / 4
_BUFFERS = 6  # copies of the weights: weights, gradient, two optimizer buffers, best, a temporary
_TRACES = 4  # copies of the hidden values: before, after, slope, a temporary
_MOST = 4096  # beyond it nothing is gained, and a crash costs more


def choose(
    net: StackedNet,
    parameters: int,
    batch: int,
    own_bytes: int,
    epochs: int,
    itemsize: int,
    free: int,
    on_cpu: bool,
) -> int:
    """The members of a stack.

    Args:
        net: their form.
        parameters: of one member.
        batch: rows of an optimizer step.
        own_bytes: what a member's own rows take; 0 where all see the same.
        epochs: rows of figures that each member writes down.
        itemsize: bytes of a number.
        free: bytes of memory that are free on the device.
        on_cpu: whether a cache has to be considered.
    """
    hidden = batch * (sum(net.sizes) + 2) * itemsize
    member = _BUFFERS * parameters * itemsize + _TRACES * hidden + own_bytes + 6 * 8 * epochs
    width = min(free // _SHARE // member, _MOST)
    if on_cpu:
        width = min(width, _CACHE // hidden)
    return max(1, int(width))


def free_memory(device: str) -> int:
    """Bytes that are free on a device, ``cpu`` or ``cuda…``."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) << 10
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 4 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, MemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
