"""Reasons to stop, asked by the history after each epoch: alone and in a stack the same.

Another reason is a subclass of ``Stopping`` in this file, and a node of conf/callbacks.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import lightning.pytorch as pl


class Stopping(pl.Callback, ABC):
    """A reason for one run to stop, which follows no hook of Lightning; each member of a stack has its own.

    What it counts goes through ``state_dict`` and ``load_state_dict``: a resumed run stops where the whole one does.
    """

    reason: ClassVar[str]  # what summary.json has as ``status``
    monitor: str  # the figure that it looks at

    @abstractmethod
    def stops(self, value: float) -> bool:
        """Whether to stop after an epoch with this figure; epochs without one are not asked about."""


class EarlyStopping(Stopping):
    """Stops a run whose monitored figure no longer improves; settings and rule are Lightning's, by their names.

    Args:
        monitor: the figure.
        mode: ``min`` or ``max``.
        patience: epochs without improvement after which training stops.
        min_delta: what counts as an improvement.
        stopping_threshold: a value that is good enough.
        divergence_threshold: a value that is hopeless.
        check_finite: stop where the figure is not finite.
    """

    reason = "stopped early"

    def __init__(
        self,
        monitor: str,
        mode: str,
        patience: int,
        min_delta: float = 0.0,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        check_finite: bool = True,
    ) -> None:
        self.monitor, self.mode, self.patience, self.min_delta = monitor, mode, patience, abs(min_delta)
        self._sign = 1.0 if mode == "min" else -1.0  # times a figure: smaller is better
        self._good = -math.inf if stopping_threshold is None else self._sign * stopping_threshold
        self._bad = math.inf if divergence_threshold is None else self._sign * divergence_threshold
        self._check_finite = check_finite
        self.best, self.waited = math.inf, 0

    def stops(self, value: float) -> bool:
        """See ``Stopping``."""
        value *= self._sign
        if value + self.min_delta < self.best:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        lost = self._check_finite and not math.isfinite(value)
        return lost or self.waited >= self.patience or value < self._good or value > self._bad

    def state_dict(self) -> dict[str, Any]:
        """What was counted, and of which figure."""
        return {"monitor": self.monitor, "mode": self.mode, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it; what was counted of another figure says nothing of this one."""
        if (state_dict.get("monitor"), state_dict.get("mode")) == (self.monitor, self.mode):
            self.best, self.waited = state_dict["best"], state_dict["waited"]
