"""Which metric a training loss is, in the target's unit."""

from typing import TYPE_CHECKING

from src.config.values import Config

if TYPE_CHECKING:
    from src.data.target import Target

_METRICS = {"MSELoss": ("mse", 2), "L1Loss": ("mae", 1)}  # and the power of the target's scale that it grows with


def metric_of(cfg: Config, target: "Target") -> tuple[str | None, float]:
    """The metric, and what the loss is to be multiplied by to be it; None where it is none of them."""
    metric, power = _METRICS.get(str(cfg.loss._target_).rpartition(".")[2], (None, 0))
    if cfg.loss.get("reduction", "mean") != "mean" or not target.is_affine:
        return None, 1.0
    return metric, float(target.scale) ** power
