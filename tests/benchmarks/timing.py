"""Two sides timed in turn, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: seconds of both sides, and the ratios that are wanted."""

    name: str
    what: str
    ours: list[float]
    theirs: list[float]
    must: float
    aim: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Median of ours over median of theirs."""
        return statistics.median(self.ours) / statistics.median(self.theirs)

    @property
    def verdict(self) -> str:
        """aim, must or missed."""
        return "aim" if self.ratio <= self.aim else "must" if self.ratio <= self.must else "missed"


def in_turn(
    ours: Callable[[], float | None], theirs: Callable[[], float | None], rounds: int, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Seconds of each side over ``rounds`` rounds, after ``warm_up`` that do not count.

    A side that returns a number times itself.
    """
    timed: tuple[list[float], list[float]] = ([], [])
    for number in range(warm_up + rounds):
        for side, times in zip((ours, theirs), timed, strict=True):
            start = time.perf_counter()
            own = side()
            seconds = time.perf_counter() - start if own is None else own
            if number >= warm_up:
                times.append(seconds)
    return timed
