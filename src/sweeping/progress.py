"""How far a sweep is, what it found and how long it will take: a bar on a terminal, a line now and then elsewhere."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from src.training.bar import Bar

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)


class Progress:
    """Counts what all processes of a study have done, and the time since ``done`` trials were, this process's start."""

    def __init__(
        self, limit: int, directions: Sequence[str], done: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit, self.directions = limit, directions
        self._before, self._clock = done, clock
        self._started = self._said = clock()
        self._bar = Bar("trials", limit, done) if sys.stderr.isatty() else None

    def show(self, trials: "Sequence[FrozenTrial]") -> None:
        """Shows it."""
        done, found = self._counted(trials)
        if self._bar:
            self._bar.show(done, ", ".join(found))
        else:
            log.info("%s", self.line(trials))

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar:
            self._bar.close()

    def due(self) -> bool:
        """Whether the last line is a second old: to count thousands of trials after each would slow them."""
        return self._clock() - self._said >= 1

    def line(self, trials: "Sequence[FrozenTrial]") -> str:
        """For example ``12/60 trials done, 1 failed, best 5.61 (trial 7), 2 min left``."""
        done, found = self._counted(trials)
        parts = [f"{done}/{self.limit} trials done", *found]
        if done - self._before > 0 and done < self.limit:
            seconds = (self._clock() - self._started) / (done - self._before) * (self.limit - done)
            parts.append(f"{duration(seconds)} left")
        return ", ".join(parts)

    def _counted(self, trials: "Sequence[FrozenTrial]") -> tuple[int, list[str]]:
        """How many trials ended, and what came of them in words."""
        self._said = self._clock()
        finished = [trial for trial in trials if trial.state.is_finished()]
        counts = Counter(trial.state.name for trial in finished)
        found = [
            f"{counts[state]} {said}" for state, said in (("PRUNED", "pruned"), ("FAIL", "failed")) if counts[state]
        ]
        if counts["COMPLETE"] and len(self.directions) == 1:
            pick = min if self.directions[0] == "minimize" else max
            best = pick((t for t in finished if t.state.name == "COMPLETE"), key=lambda trial: trial.values[0])
            found.append(f"best {best.values[0]:.6g} (trial {best.number})")
        return len(finished), found


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
