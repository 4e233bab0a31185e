"""Which metric a training loss is, in the target's unit, and what the unit of a figure is."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from src.config.values import Config

if TYPE_CHECKING:
    from src.data.target import Target

_METRICS = {"MSELoss": ("mse", 2), "L1Loss": ("mae", 1)}  # and the power of the target's scale that it grows with


def metric_of(cfg: Config, targets: "Sequence[Target]") -> tuple[str | None, float]:
    """The metric, and what the loss is to be multiplied by to be it; None where it is none, as of several targets."""
    metric, power = _METRICS.get(str(cfg.loss._target_).rpartition(".")[2], (None, 0))
    if cfg.loss.get("reduction", "mean") != "mean" or len(targets) > 1 or not targets[0].is_affine:
        return None, 1.0
    return metric, float(targets[0].scale) ** power


def unit_of(figure: str, targets: Sequence[str]) -> str:
    """The unit of a figure, SPLIT/METRIC or SPLIT/METRIC/TARGET, whose power the metric tells, in words."""
    named = figure.partition("/")[2].partition("/")[2]
    return named or (targets[0] if len(targets) == 1 else "standard deviations")


def of_reference(reference: Mapping[str, float], end: str) -> dict[str, float]:
    """The figures of least squares in a summary.json by metric; ``end`` as in ``suffixes``."""
    mse = reference[f"mse{end}"]
    return {"mse": mse, "rmse": mse**0.5, "r2": reference[f"r2{end}"]}
