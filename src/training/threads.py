"""How many threads PyTorch's operations use: one where the work is too small to share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Multiply-adds of a step's forward pass, all members together, below which a second thread gains too little: on two
# cores an MLP 10-64-64-1 at batch 1,024 (5 million) takes as long with two as with one, an 18-64-64-1 at 1,920 rows
# (11 million) 0.9 times, a 10-256-256-1 at 1,024 (70 million) 0.75 times.
_SMALL = 1 << 26


def threads_for(weights: int, batch_size: int, wanted: int | str) -> int:
    """``wanted``, or with ``auto`` one thread for small work and PyTorch's own choice for the rest.

    Args:
        weights: all that a step trains: a net's, or those of all members of a stack.
        batch_size: rows of a step.
        wanted: ``auto``, or a number.
    """
    if isinstance(wanted, int):
        return wanted
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
