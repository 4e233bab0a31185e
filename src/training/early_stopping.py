"""Early stopping as a reason of the history to stop: alone and in a stack by the same rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np


class EarlyStopping(pl.Callback):
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
        self.rule = EarlyStops([self])

    def state_dict(self) -> dict[str, Any]:
        """The best value so far and the epochs since, so that a resumed run stops where the whole one does."""
        return {"best": float(self.rule.best[0]), "waited": int(self.rule.waited[0])}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them."""
        self.rule.best[0], self.rule.waited[0] = state_dict["best"], state_dict["waited"]


class EarlyStops:
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

    def __call__(self, present: np.ndarray, figures: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which of the present members have to stop after an epoch with these figures (present,)."""
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
