"""What regression means: the metrics, their directions, how each is summed over batches, and the worst there is.

Nobody else knows a metric by name. Nothing here imports torch, so that a command line is checked quickly.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SPLITS = ("train", "val", "test")

# A loss this many times that of predicting 0 everywhere is no training any more, finite or not.
ABSURD = 1e12


@dataclass(frozen=True)
class Metric:
    """A figure of merit, from errors in the target's unit.

    Args:
        part: errors (…, rows) to what these rows contribute, (…).
        join: two contributions to that of both.
        value: the whole contribution, the number of rows and the target's variance to the figure, (…).
        larger_is_better: the direction.
    """

    part: "Callable[[Tensor], Tensor]"
    join: "Callable[[Any, Any], Any]"
    value: "Callable[[Tensor, int, Any], Tensor]"
    larger_is_better: bool = False


def _squared(error: "Tensor") -> "Tensor":
    return (error * error).sum(-1)


def _absolute(error: "Tensor") -> "Tensor":
    return error.abs().sum(-1)


def _sum(one: Any, other: Any) -> Any:
    return one + other


def _r2(total: "Tensor", rows: int, variance: Any) -> "Tensor":
    found = 1 - total / rows / variance
    return found.masked_fill(~found.isfinite(), math.nan)  # a constant target has none


METRICS: dict[str, Metric] = {
    "mse": Metric(_squared, _sum, lambda total, rows, variance: total / rows),
    "rmse": Metric(_squared, _sum, lambda total, rows, variance: (total / rows).sqrt()),
    "mae": Metric(_absolute, _sum, lambda total, rows, variance: total / rows),
    "r2": Metric(_squared, _sum, _r2, larger_is_better=True),
}


class Tally:
    """Errors of many batches, on their way to figures."""

    def __init__(self) -> None:
        self._parts: dict[Any, Any] = {}
        self._rows: Any = 0

    def add(self, error: "Tensor", rows: Any = None) -> None:
        """Adds errors (…, rows), float64, in the target's unit.

        Args:
            rows: how many of them count, where that differs, (…); the others are zero.
        """
        for part, join in {(metric.part, metric.join) for metric in METRICS.values()}:
            found = part(error)
            self._parts[part, join] = join(self._parts[part, join], found) if (part, join) in self._parts else found
        self._rows = self._rows + (error.shape[-1] if rows is None else rows)

    def figures(self, variance: Any) -> "dict[str, Tensor]":
        """Every metric (…) of what was added; ``variance`` is the target's over the same rows, a number or (…)."""
        return {
            name: metric.value(self._parts[metric.part, metric.join], self._rows, variance)
            for name, metric in METRICS.items()
        }


def figures(pairs: "Iterable[tuple[np.ndarray, np.ndarray]]", variance: float) -> dict[str, float]:
    """Every metric of (prediction, target) pairs, each (rows,) in the target's unit."""
    import torch

    tally = Tally()
    for prediction, target in pairs:
        tally.add(torch.from_numpy(prediction.astype("float64") - target.astype("float64")))
    return {name: float(value) for name, value in tally.figures(torch.tensor(variance)).items()}


def complaint(what: str, value: float) -> str:
    """What was wrong with a number."""
    if math.isfinite(value):
        return f"{what} was {value:.3g}, more than {ABSURD:.0e} times that of predicting 0 everywhere"
    return f"{what} was not finite"


def larger_is_better(name: str) -> bool:
    """Whether a figure such as ``val/r2`` is to be maximized."""
    metric = METRICS.get(name.rpartition("/")[2])
    return metric is not None and metric.larger_is_better


def direction_of(name: str) -> str:
    """``maximize`` or ``minimize``, as Optuna says it."""
    return "maximize" if larger_is_better(name) else "minimize"


def worst(direction: str) -> float:
    """The objective of a run that came to nothing."""
    return -math.inf if direction == "maximize" else math.inf


def rankable(value: float | None, direction: str) -> float:
    """An objective that a sweep can rank: what is no number is the worst there is, whatever the direction."""
    return worst(direction) if value is None or math.isnan(value) else float(value)


def objective_of(metrics: Mapping[str, float], name: str) -> dict[str, Any]:
    """An objective as summary.json has it: its name, and its value or the worst there is."""
    return {"name": name, "value": rankable(metrics.get(name), direction_of(name))}


def objectives_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """The objectives that a summary.json has, by name, as a sweep can rank them; {} where it has none.

    None is how JSON, which has no infinity, keeps the worst there is.
    """
    parts = summary.get("objectives") or ([summary["objective"]] if summary.get("objective") else [])
    return {str(part["name"]): rankable(part["value"], direction_of(str(part["name"]))) for part in parts}
