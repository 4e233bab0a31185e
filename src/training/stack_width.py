"""How many members a stack holds: as many as memory takes, and no more than the cache likes.

How many times faster a member trains in a stack of so many than alone, best of two against best of three, two shared
cores of a Xeon at 2.5 GHz, torch 2.13, 2026-11-22 (``python -m tests.benchmarks --row stacked-wide`` measures whole
commands):

====================================== ======== ===== ===== ===== =====
net, rows, batch                       auto         2     8    16    64
====================================== ======== ===== ===== ===== =====
256-256, 10,000 rows, batch 1,024      2          1.5   1.6   2.0   1.1
256-256, 32 rows                       95         1.8   3.6   4.1   4.8
64-64, 1,000 rows, full batch          12         2.0   2.8   3.1   3.0
64-64, 4,096 rows, batch 256           47         3.9    11   9.0    12
straight line, 10,000 rows (1 thread)  78         2.9   6.9   7.2    13
====================================== ======== ===== ===== ===== =====

With one thread on busy cores the first row falls to 1.2 at a width of 8, 0.99 at 16 and 0.77 at 64.
"""

import torch
from lightning.pytorch.utilities.memory import is_oom_error
from torch import Tensor, nn

from src.adapters.memory import available
from src.models.realmlp import RealLinear

_CACHE = 6 << 20  # bytes of hidden values of a step on a CPU; at the widths it gives, no shape above lost to lone runs
_SHARE = 4  # a stack takes at most this part of the free memory: 1 / 4
_BUFFERS = 6  # copies of the weights: weights, gradient, two optimizer buffers, best, a temporary
_TRACES = 4  # copies of the hidden values: before, after, slope, a temporary
_MOST = 4096  # beyond it nothing is gained, and a crash costs more


def width_of(net: nn.Module, features: Tensor, batch: int, own_bytes: int, epochs: int, free: int, on_cpu: bool) -> int:
    """The members of a stack.

    Args:
        net: of their form.
        features: a few encoded rows, on which the net's hidden values are counted.
        batch: rows of an optimizer step.
        own_bytes: what a member's own rows take; 0 where all see the same.
        epochs: rows of figures that each member writes down.
        free: bytes of memory that are free on the device.
        on_cpu: whether a cache has to be considered.
    """
    itemsize = features.element_size()
    parameters = sum(parameter.numel() for parameter in net.parameters())
    hidden = batch * (_values(net, features) + 2) * itemsize
    member = _BUFFERS * parameters * itemsize + _TRACES * hidden + own_bytes + 6 * 8 * epochs
    width = min(free // _SHARE // member, _MOST)
    if on_cpu:
        width = min(width, _CACHE // hidden)
    return max(1, int(width))


def _values(net: nn.Module, features: Tensor) -> float:
    """Hidden values of a row: what the layers that change the width give."""
    counted = []
    hooks = [
        module.register_forward_hook(lambda module, given, found: counted.append(found.numel() / len(features)))
        for module in net.modules()
        if isinstance(module, nn.Linear | nn.Embedding | RealLinear) and not list(module.children())
    ]
    net = net.eval()
    with torch.no_grad():
        net(features)
    net.train()
    for hook in hooks:
        hook.remove()
    return max(sum(counted) - 1, 0)


def free_memory(device: str) -> int:
    """Bytes that are free on a device, ``cpu`` or ``cuda…``."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return available()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    return isinstance(error, MemoryError) or (isinstance(error, Exception) and is_oom_error(error))
