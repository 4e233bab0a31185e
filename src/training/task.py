"""What regression means: the metrics, their directions, how each is summed over batches, and the worst there is.

Nobody else knows a metric by name. Nothing here imports torch, so that a command line is checked quickly.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SPLITS = ("train", "val", "test")
ALL = "all targets, in standard deviations"

# A loss this many times that of predicting 0 everywhere is no training any more, finite or not.
ABSURD = 1e12


@dataclass(frozen=True)
class Metric:
    """A figure of merit of each target, from errors in its unit.

    Args:
        part: errors (…, targets, rows), and how much each counts, (rows,) or likewise, None for 1, to what these rows
            contribute, (…, targets).
        join: two contributions to that of both.
        value: the whole contribution, what the rows weigh together and each target's variance to the figure,
            (…, targets).
        larger_is_better: the direction.
        power: of the target's unit that a contribution is in.
    """

    part: "Callable[[Tensor, Tensor | None], Tensor]"
    join: "Callable[[Any, Any], Any]"
    value: "Callable[[Tensor, Any, Any], Tensor]"
    larger_is_better: bool = False
    power: int = 1


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
    "mse": Metric(_squared, _sum, lambda total, rows, variance: total / rows, power=2),
    "rmse": Metric(_squared, _sum, lambda total, rows, variance: (total / rows).sqrt(), power=2),
    "mae": Metric(_absolute, _sum, lambda total, rows, variance: total / rows),
    "r2": Metric(_squared, _sum, _r2, larger_is_better=True, power=2),
}


def figure_names(targets: "Sequence[str]") -> list[str]:
    """What there is of each split: every metric, and of several targets every METRIC/TARGET as well.

    A metric of several targets is of their errors, each in units of its target's standard deviation over the same rows:
    ``mse``, ``mae`` and ``r2`` are the means of theirs, and ``rmse`` is the root of ``mse``.
    """
    each = [f"{metric}/{target}" for target in targets for metric in METRICS] if len(targets) > 1 else []
    return [*METRICS, *each]


def suffixes(target: Any) -> dict[str, str]:
    """What stands behind a metric's name for each target of a summary.json, and for all of them, by what it is of."""
    if not isinstance(target, list):
        return {str(target): ""}
    return {name: f"/{name}" for name in target} | {ALL: ""}


def metric_in(name: str) -> str:
    """The metric of a figure, SPLIT/METRIC or SPLIT/METRIC/TARGET; of what is none any word."""
    return name.partition("/")[2].partition("/")[0]


def overall(name: str, parts: "Tensor", rows: Any, variance: "Tensor") -> "Tensor":
    """A metric of all targets (…), see ``figure_names``; a target that is constant does not count.

    Args:
        name: of the metric.
        parts: what it is made of, (…, targets).
        rows: what they weigh together.
        variance: of each target over them, (…, targets).
    """
    import torch

    metric = METRICS[name]
    if parts.shape[-1] > 1:
        varies = variance > 0
        scaled = torch.where(varies, parts / torch.where(varies, variance, 1.0) ** (metric.power / 2), 0.0)
        parts = scaled.sum(-1, keepdim=True) / varies.sum(-1, keepdim=True)
        variance = torch.ones_like(parts)
    return metric.value(parts, rows, variance).squeeze(-1)


def figure(
    name: str, error: "Tensor", variance: "Tensor", weight: "Tensor | None" = None, targets: "Sequence[str]" = ("",)
) -> "Tensor":
    """One figure (…), a name of ``figure_names``, of errors (…, targets, rows).

    Args:
        name: of the figure.
        error: in the targets' units.
        variance: of each target over the same rows, (…, targets).
        weight: how much each row counts, (rows,) or (…, 1, rows); None for 1.
        targets: their names.
    """
    metric, _, target = name.partition("/")
    found = METRICS[metric]
    rows = error.shape[-1] if weight is None else weight.sum(-1)
    parts = found.part(error, weight)
    if target:
        return found.value(parts, rows, variance)[..., list(targets).index(target)]
    return overall(metric, parts, rows, variance)


class Tally:
    """Errors of many batches, on their way to figures."""

    def __init__(self) -> None:
        self._parts: dict[Any, Any] = {}
        self._rows: Any = 0

    def add(self, error: "Tensor", weight: "Tensor | None" = None) -> None:
        """Adds errors (…, targets, rows), float64, in the targets' units.

        Args:
            weight: how much each counts, (rows,) or (…, 1, rows); None for 1.
        """
        for part, join in {(metric.part, metric.join) for metric in METRICS.values()}:
            found = part(error, weight)
            self._parts[part, join] = join(self._parts[part, join], found) if (part, join) in self._parts else found
        self._rows = self._rows + (error.shape[-1] if weight is None else weight.sum(-1))

    def figures(self, variance: "Tensor", targets: "Sequence[str]") -> "dict[str, Tensor]":
        """Every figure (…) of what was added, by its name in ``figure_names`` and in that order.

        Args:
            variance: of each target over the same rows, (…, targets).
            targets: their names.
        """
        parts = {name: self._parts[metric.part, metric.join] for name, metric in METRICS.items()}
        values = {name: METRICS[name].value(part, self._rows, variance) for name, part in parts.items()}
        if len(targets) == 1:
            return {name: value.squeeze(-1) for name, value in values.items()}
        found = {name: overall(name, part, self._rows, variance) for name, part in parts.items()}
        for place, target in enumerate(targets):
            found |= {f"{name}/{target}": value[..., place] for name, value in values.items()}
        return found


def figures(
    pairs: "Iterable[tuple[np.ndarray, np.ndarray]]",
    targets: "Sequence[str]",
    variance: "np.ndarray",
    weights: "np.ndarray | None" = None,
) -> dict[str, float]:
    """Every figure of (prediction, target) pairs, each (rows, targets) in the targets' units.

    Args:
        pairs: in the order of ``weights``.
        targets: their names.
        variance: of each, (targets,).
        weights: how much each row counts, of all pairs together, (rows,); None for 1.
    """
    import torch

    tally, done = Tally(), 0
    for prediction, target in pairs:
        own = None if weights is None else torch.from_numpy(weights[done : done + len(target)])
        tally.add(torch.from_numpy(prediction.astype("float64") - target.astype("float64")).mT, own)
        done += len(target)
    # In float32, so that what an older run came to is repeated to the bit.
    found = tally.figures(torch.from_numpy(variance).float(), targets)
    return {name: float(value) for name, value in found.items()}


def complaint(what: str, value: float) -> str:
    """What was wrong with a number."""
    if math.isfinite(value):
        return f"{what} was {value:.3g}, more than {ABSURD:.0e} times that of predicting 0 everywhere"
    return f"{what} was not finite"


def larger_is_better(name: str) -> bool:
    """Whether a figure such as ``val/r2`` is to be maximized."""
    metric = METRICS.get(metric_in(name))
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
