"""The line after each trial: how far the sweep is, what it found, how long it will take."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Progress:
    """Counts what all processes of a study have done, and the time since ``done`` trials were, this process's start."""

    def __init__(
        self, limit: int, directions: Sequence[str], done: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit, self.directions = limit, directions
        self._before, self._clock = done, clock
        self._started = self._said = clock()

    def due(self) -> bool:
        """Whether the last line is a second old: to count thousands of trials after each would slow them."""
        return self._clock() - self._said >= 1

    def line(self, trials: "Sequence[FrozenTrial]") -> str:
        """For example ``12/60 trials done, 1 failed, best 5.61 (trial 7), 2 min left``."""
        self._said = self._clock()
        finished = [trial for trial in trials if trial.state.is_finished()]
        counts = Counter(trial.state.name for trial in finished)
        parts = [f"{len(finished)}/{self.limit} trials done"]
        parts += [
            f"{counts[state]} {said}" for state, said in (("PRUNED", "pruned"), ("FAIL", "failed")) if counts[state]
        ]
        if counts["COMPLETE"] and len(self.directions) == 1:
            pick = min if self.directions[0] == "minimize" else max
            best = pick((t for t in finished if t.state.name == "COMPLETE"), key=lambda trial: trial.values[0])
            parts.append(f"best {best.values[0]:.6g} (trial {best.number})")
        here = len(finished) - self._before
        if here > 0 and len(finished) < self.limit:
            seconds = (self._clock() - self._started) / here * (self.limit - len(finished))
            parts.append(f"{duration(seconds)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
