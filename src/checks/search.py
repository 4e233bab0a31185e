"""Checks of a sweep: where in its search space the best lies, and whether the rows can tell the best apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.checks.noise import relative_error

_EDGE = 0.03  # of the range, on its own scale
_FEWEST = 8  # trials below which the best lies where it was put
_AMONG = 10  # the first ones, which a terminal shows


@dataclass(frozen=True)
class Space:
    """What a parameter was searched in.

    Args:
        low, high: of a number.
        log: whether ratios count, not differences.
        choices: of a parameter that takes one of a few values.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()


def at_edge(params: Mapping[str, Any], spaces: Mapping[str, Space], trials: int) -> str | None:
    """P04: a number of the best trial lies at an end of its range, beyond which a better one may lie.

    Zero is no such end: what cannot be negative has it as its bound. Nor is 1 of a whole number, which mostly counts.

    Args:
        params: of the best.
        spaces: by name.
        trials: that were finished.
    """
    if trials < _FEWEST:
        return None
    said = [text for name, value in params.items() if name in spaces and (text := _edge(name, value, spaces[name]))]
    return "; ".join(said) or None


def _edge(name: str, value: Any, space: Space) -> str | None:
    low, high = space.low, space.high
    if space.choices:
        numbers = [each for each in space.choices if isinstance(each, (int, float)) and not isinstance(each, bool)]
        if len(numbers) != len(space.choices) or len(numbers) < 3 or value not in numbers:
            return None
        low, high = min(numbers), max(numbers)
        if value not in (low, high):
            return None
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not low < high:
        return None
    scale = math.log if space.log and low > 0 else float
    place = (scale(value) - scale(low)) / (scale(high) - scale(low))
    if place >= 1 - _EDGE:
        further = high * high / low if space.log and low > 0 else 2 * high - low
        return f"{name}={value:.4g} is at the upper end of {low:g} to {high:g}: widen it up, to {further:.3g} say"
    if place <= _EDGE and low != 0 and not (isinstance(value, int) and low == 1):
        further = low * low / high if space.log and low > 0 else 2 * low - high
        further = low / 2 if low > 0 >= further else further  # a width or a rate stays positive
        further = math.floor(further) or 1 if isinstance(value, int) else further
        return f"{name}={value:.4g} is at the lower end of {low:g} to {high:g}: widen it down, to {further:.3g} say"
    return None


def too_few(name: str, values: Sequence[float], rows: int) -> str | None:
    """P06 of a sweep: the first runs differ by less than the rows that rank them can tell.

    Args:
        name: of the objective, SPLIT/METRIC.
        values: of the runs, best first.
        rows: that judged them.
    """
    metric = name.partition("/")[2].partition("/")[0]
    shown = [1 - value if metric == "r2" else value for value in values if math.isfinite(value)]
    if len(shown) < 2 or rows < 1 or shown[0] <= 0 or name.startswith("train/"):
        return None
    known = 2 * relative_error(metric, rows)
    apart = [value / shown[0] - 1 for value in shown]
    within = sum(each < known for each in apart)
    if within < 2:
        return None
    last = min(within, _AMONG) - 1
    return (
        f"{rows} rows know {name} to about ±{known:.0%}, and {within} runs are within that of the best "
        f"(number {last + 1} by {apart[last]:.1%})"
    )
