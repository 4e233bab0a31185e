"""How many threads PyTorch's operations use: one where the work is too small to share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Multiply-adds of one batch's forward pass below which a second thread does not pay. It costs dearly where
# another process wants the core: at batch 32 and an MLP 64-64, 15 ms a step instead of 2 (two busy cores).
_SMALL = 1 << 20


def threads_for(net: nn.Module, batch_size: int, wanted: int | str) -> int:
    """``wanted``, or with ``auto`` one thread for small work and PyTorch's own choice for the rest."""
    if isinstance(wanted, int):
        return wanted
    weights = sum(parameter.numel() for parameter in net.parameters())
    return 1 if weights * batch_size <= _SMALL else torch.get_num_threads()


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Uses so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
