"""Reasons to stop, asked by the history after each epoch: alone and in a stack by the same rule.

Another reason is a subclass of ``Stopping`` in this file, and a node of conf/callbacks.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np


class Stops(ABC):
    """A rule for many members, each with settings of its own; as it stands here it remembers nothing."""

    @abstractmethod
    def __call__(self, present: np.ndarray, figures: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which of the present members have to stop after an epoch with these figures (present,)."""

    def state(self, member: int) -> dict[str, Any]:
        """What a member's checkpoint needs for the rule to go on."""
        return {}

    def load(self, member: int, state: Mapping[str, Any]) -> None:  # noqa: B027  # who has no state takes none
        """Takes it."""


class Stopping(pl.Callback, ABC):
    """A reason to stop with its settings; whoever trains asks its rule, so it follows no hook of Lightning."""

    reason: ClassVar[str]  # what summary.json has as ``status``
    monitor: str  # the figure that it looks at

    @classmethod
    @abstractmethod
    def together(cls, settings: "Sequence[Any]") -> Stops:
        """The rule for many members.

        Args:
            settings: per member a callback of this class; they share a monitor.
        """

    @cached_property
    def rule(self) -> Stops:
        """The rule for a lone run."""
        return self.together([self])

    def state_dict(self) -> dict[str, Any]:
        """What the rule remembers, so that a resumed run stops where the whole one does."""
        return self.rule.state(0)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it."""
        self.rule.load(0, state_dict)


class EarlyStopping(Stopping):
    """Stops a run whose monitored figure no longer improves; settings and rule are Lightning's, by their names.

    Only epochs that have the figure count.

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
        self.monitor, self.mode, self.patience, self.min_delta = monitor, mode, patience, min_delta
        self.stopping_threshold, self.divergence_threshold = stopping_threshold, divergence_threshold
        self.check_finite = check_finite

    @classmethod
    def together(cls, settings: "Sequence[EarlyStopping]") -> Stops:
        """See ``Stopping``."""
        return EarlyStops(settings)


class EarlyStops(Stops):
    """The rule for many members.

    Args:
        settings: per member its own; they share a monitor.
    """

    def __init__(self, settings: Sequence[EarlyStopping]) -> None:
        self._monitor = settings[0].monitor
        self._sign = np.array([1.0 if each.mode == "min" else -1.0 for each in settings])  # smaller is better
        self._patience = np.array([each.patience for each in settings])
        self._delta = np.array([abs(each.min_delta) for each in settings])
        good, bad = ([getattr(s, f"{name}_threshold") for s in settings] for name in ("stopping", "divergence"))
        self._good = self._sign * np.array([np.nan if value is None else value for value in good], float)
        self._bad = self._sign * np.array([np.nan if value is None else value for value in bad], float)
        self._finite = np.array([each.check_finite for each in settings])
        self.best = np.full(len(settings), np.inf)
        self.waited = np.zeros(len(settings), int)

    def watched(self, member: int) -> dict[str, str]:
        """Which figure, and which end of it is good."""
        return {"monitor": self._monitor, "mode": "min" if self._sign[member] > 0 else "max"}

    def state(self, member: int) -> dict[str, Any]:
        """What the callback of a member alone would save."""
        counted = {"best": float(self.best[member]), "waited": int(self.waited[member])}
        return self.watched(member) | counted

    def load(self, member: int, state: Mapping[str, Any]) -> None:
        """Takes them; those of another figure say nothing of this one."""
        if all(state.get(name, value) == value for name, value in self.watched(member).items()):
            self.best[member], self.waited[member] = state["best"], state["waited"]

    def __call__(self, present: np.ndarray, figures: Mapping[str, np.ndarray]) -> np.ndarray:
        """See ``Stops``."""
        if self._monitor not in figures:
            return np.zeros(len(present), bool)
        value = self._sign[present] * figures[self._monitor]
        with np.errstate(invalid="ignore"):
            better = value + self._delta[present] < self.best[present]
            reached = (value < self._good[present]) | (value > self._bad[present])
        self.best[present] = np.where(better, value, self.best[present])
        self.waited[present] = np.where(better, 0, self.waited[present] + 1)
        lost = self._finite[present] & ~np.isfinite(value)
        return (self.waited[present] >= self._patience[present]) | reached | lost
