"""A row of the table of faults: what is done to a run how often, and what did not come out as promised."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """How often a fault was done, and each promise that was not kept."""

    count: int = 0
    unmet: list[str] = field(default_factory=list)

    def expect(self, kept: bool, otherwise: str) -> None:
        """Notes a promise."""
        if not kept:
            self.unmet.append(" ".join(otherwise.split())[-300:])


@dataclass(frozen=True)
class Row:
    """A fault.

    Args:
        fault: what happens.
        how: what is done, and what has to hold afterwards.
        count: how often, in the whole table.
        few: how often, in the suite.
        run: does it so often in a folder of its own.
    """

    fault: str
    how: str
    count: int
    few: int
    run: Callable[[Path, int, random.Random], Tally]
