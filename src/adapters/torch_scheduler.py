"""What torch's schedulers look for in an optimizer beyond its public interface; written for torch 2.13.

A scheduler warns where it is stepped before its optimizer, and knows by a private mark that its own wrapper of ``step``
leaves. Here schedulers are brought to where an earlier training was, and updates are called without that wrapper.
"""

from torch.optim import Optimizer


def as_if_stepped(optimizer: Optimizer) -> None:
    """Leaves the mark that a step leaves."""
    optimizer._opt_called = True  # type: ignore[attr-defined]  # private to torch
