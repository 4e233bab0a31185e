"""The line after each trial: how far the sweep is, what it found, how long it will take."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Progress:
    """Counts what all processes of a study have done, and the time from this process's own start.

    Args:
        limit: trials in all.
        directions: minimize or maximize, one for each objective.
        done: trials finished before this process began.
        clock: seconds.
    """

    def __init__(
        self, limit: int, directions: Sequence[str], done: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit, self.directions = limit, directions
        self._clock = clock
        self._before = done
        self._started = self._said = clock()

    def due(self) -> bool:
        """Whether the last line is a second old: to count thousands of trials after each would slow them."""
        return self._clock() - self._said >= 1

    def line(self, trials: "Sequence[FrozenTrial]") -> str:
        """For example ``12/60 trials done, 1 failed, best 5.61 (trial 7), 2 min left``."""
        from optuna.trial import TrialState

        self._said = self._clock()
        finished = [trial for trial in trials if trial.state.is_finished()]
        parts = [f"{len(finished)}/{self.limit} trials done"]
        for state, said in ((TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed")):
            count = sum(trial.state == state for trial in finished)
            parts += [f"{count} {said}"] if count else []
        complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
        if complete and len(self.directions) == 1:
            pick = min if self.directions[0] == "minimize" else max
            best = pick(complete, key=lambda trial: trial.values[0])
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
