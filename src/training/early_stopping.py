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

    def why(self, epoch: int, every: int) -> str | None:
        """Why it stops after this epoch, in words; None where it does not. Its figure comes every so many epochs."""
        return None

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
        self.best, self.waited, self._value = math.inf, 0, math.nan

    def stops(self, value: float) -> bool:
        """See ``Stopping``."""
        self._value = value = value * self._sign
        if value + self.min_delta < self.best:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        lost = self._check_finite and not math.isfinite(value)
        return lost or self.waited >= self.patience or value < self._good or value > self._bad

    def why(self, epoch: int, every: int) -> str | None:
        """See ``Stopping``."""
        said = f"{self.monitor} is {self._sign * self._value:.6g}"
        if self._check_finite and not math.isfinite(self._value):
            return f"{said}, which is no finite number"
        if self.waited >= self.patience:
            least = f" by more than {self.min_delta:g}" if self.min_delta else ""
            since = epoch - self.waited * every
            return f"{self.monitor} has not improved{least} since epoch {since} (patience {self.patience})"
        if self._value < self._good:
            return f"{said}, better than stopping_threshold {self._sign * self._good:g}"
        if self._value > self._bad:
            return f"{said}, worse than divergence_threshold {self._sign * self._bad:g}"
        return None

    def state_dict(self) -> dict[str, Any]:
        """What was counted, and of which figure."""
        return {"monitor": self.monitor, "mode": self.mode, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it; what was counted of another figure says nothing of this one."""
        if (state_dict.get("monitor"), state_dict.get("mode")) == (self.monitor, self.mode):
            self.best, self.waited = float(state_dict["best"]), int(state_dict["waited"])
