"""A durable study's pruner over a whole stack."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from src.stacking.ledger import Column, numbers
from src.sweeping.pruning import Budget

if TYPE_CHECKING:
    from optuna.trial import Trial


class Pruner:
    """The ``Watcher`` of a stack: at the epochs at which lone runs report, all members report, then all are asked.

    So a pruner that compares trials with each other sees every member of the stack at the same epoch, whatever
    their order. What this costs is bounded for the stack as it is for a lone run: by a share of its time.

    Args:
        trials: the trial that each member is.
        objective: the figure to report.
        maximize: whether larger is better.
        every: epochs between two reports.
        clock: seconds.
    """

    def __init__(
        self,
        trials: "Sequence[Trial]",
        objective: str,
        maximize: bool,
        every: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._trials, self._objective, self._maximize, self._every = trials, objective, maximize, every
        self._budget = Budget(clock)
        self._best = np.full(len(trials), np.nan)

    def __call__(
        self, epoch: int, members: np.ndarray, alive: np.ndarray, figures: Mapping[str, Column]
    ) -> np.ndarray | None:
        """Which of the members that still learn are to be pruned; None where no report was due."""
        due = epoch % self._every == 0
        # A run is judged by the best epoch of a validation figure, else by its last training loss.
        if self._objective.startswith("val/"):
            better = np.fmax if self._maximize else np.fmin
            now = numbers(figures[self._objective])
            self._best[members] = better(self._best[members], np.where(np.isfinite(now), now, np.nan))
        elif due:
            self._best[members] = numbers(figures["train/loss"]) * (-1 if self._maximize else 1)
        if not due or not self._budget.allows():
            return None
        values = self._best[members]
        reporting = np.flatnonzero(np.isfinite(values) & alive)
        answers = np.zeros(len(members), bool)
        with self._budget.spending():
            for place in reporting:
                self._trials[members[place]].report(float(values[place]), epoch)
            for place in reporting:
                answers[place] = self._trials[members[place]].should_prune()
        return answers
