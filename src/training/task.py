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
        part: errors (…, rows), and how much each counts, (rows,) or likewise, None for 1, to what these rows
            contribute, (…).
        join: two contributions to that of both.
        value: the whole contribution, what the rows weigh together and the target's variance to the figure, (…).
        larger_is_better: the direction.
    """

    part: "Callable[[Tensor, Tensor | None], Tensor]"
    join: "Callable[[Any, Any], Any]"
    value: "Callable[[Tensor, Any, Any], Tensor]"
    larger_is_better: bool = False


def _squared(error: "Tensor", weight: "Tensor | None") -> "Tensor":
    squares = error * error
    return (squares if weight is None else squares * weight).sum(-1)


def _absolute(error: "Tensor", weight: "Tensor | None") -> "Tensor":
    sizes = error.abs()
    return (sizes if weight is None else sizes * weight).sum(-1)


def _sum(one: Any, other: Any) -> Any:
    return one + other


def _r2(total: "Tensor", rows: Any, variance: Any) -> "Tensor":
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

    def add(self, error: "Tensor", weight: "Tensor | None" = None) -> None:
        """Adds errors (…, rows), float64, in the target's unit.

        Args:
            weight: how much each counts, (rows,) or likewise; None for 1.
        """
        for part, join in {(metric.part, metric.join) for metric in METRICS.values()}:
            found = part(error, weight)
            self._parts[part, join] = join(self._parts[part, join], found) if (part, join) in self._parts else found
        self._rows = self._rows + (error.shape[-1] if weight is None else weight.sum(-1))

    def figures(self, variance: Any) -> "dict[str, Tensor]":
        """Every metric (…) of what was added; ``variance`` is the target's over the same rows, a number or (…)."""
        return {
            name: metric.value(self._parts[metric.part, metric.join], self._rows, variance)
            for name, metric in METRICS.items()
        }


def figures(
    pairs: "Iterable[tuple[np.ndarray, np.ndarray]]", variance: float, weights: "np.ndarray | None" = None
) -> dict[str, float]:
    """Every metric of (prediction, target) pairs, each (rows,) in the target's unit.

    Args:
        pairs: in the order of ``weights``.
        variance: of the target.
        weights: how much each row counts, of all pairs together, (rows,); None for 1.
    """
    import torch

    tally, done = Tally(), 0
    for prediction, target in pairs:
        own = None if weights is None else torch.from_numpy(weights[done : done + len(target)])
        tally.add(torch.from_numpy(prediction.astype("float64") - target.astype("float64")), own)
        done += len(target)
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
