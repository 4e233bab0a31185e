"""A learning-rate schedule: the configured constants, completed by what only a run knows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Schedule:
    """A scheduler's constructor and when to step it.

    Args:
        factory: the scheduler's class with its constants bound.
        interval: ``epoch`` or ``step``.
        monitor: the figure that a plateau scheduler watches.
    """

    factory: Callable[..., LRScheduler]
    interval: str
    monitor: str

    def build(self, optimizer: Optimizer, epochs: int, steps: int) -> LRScheduler:
        """The scheduler of a run of so many epochs and optimizer steps.

        Arguments left at None are filled in: ``T_max`` and ``total_steps`` with the run's length in
        units of ``interval``, ``max_lr`` with the optimizer's learning rate.
        """
        length = max(epochs if self.interval == "epoch" else steps, 1)
        known: dict[str, Any] = {"T_max": length, "total_steps": length, "max_lr": optimizer.defaults["lr"]}
        bound = self.factory.keywords if isinstance(self.factory, partial) else {}
        missing = {name: known[name] for name, value in bound.items() if value is None and name in known}
        return self.factory(optimizer, **missing)
