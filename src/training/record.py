"""What a training writes down, epoch by epoch, and the reasons it may stop for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Watcher = Callable[[int, dict[str, float]], bool]


class Record:
    """One row per epoch, the best weights so far and the reason to stop, if any.

    A row holds ``epoch`` (epochs completed), ``step`` (optimizer steps done), ``train/loss`` (mean of the
    batch losses, each taken before its update), ``lr`` where it changes, slope and intercept where the
    model is a straight line of one feature, and validation figures where there are such rows.

    Args:
        monitor: the figure that decides which weights are best; None keeps the last.
        maximize: whether larger is better.
        watchers: asked after every epoch with (epoch, figures); one that answers True prunes the run.
    """

    def __init__(
        self, monitor: str | None = None, maximize: bool = False, watchers: list[Watcher] | None = None
    ) -> None:
        self.rows: list[dict[str, float]] = []
        self.stopped: str | None = None
        self.diverged_at: int | None = None
        self.monitor = monitor
        self.maximize = maximize
        self.watchers = watchers or []
        self.best: dict[str, Any] | None = None

    def close_epoch(self, row: dict[str, float], net: nn.Module) -> None:
        """Adds an epoch's row; keeps the weights if they are the best; asks the watchers."""
        self.rows.append(row)
        if self.monitor in row and self._improves(row[self.monitor]):
            self.best = {
                "epoch": int(row["epoch"]),
                "step": int(row["step"]),
                "value": row[self.monitor],
                "weights": {name: tensor.detach().clone() for name, tensor in net.state_dict().items()},
            }
        for watcher in self.watchers:
            if watcher(int(row["epoch"]), row):
                self.stop("pruned")

    def stop(self, reason: str) -> None:
        """Asks the training to end at the next epoch; the first reason stands."""
        self.stopped = self.stopped or reason

    def diverge(self, step: int) -> None:
        """Notes that the loss of this optimizer step (counted from 1) was not finite."""
        if self.diverged_at is None:
            self.diverged_at = step
        self.stop("diverged")

    def _improves(self, value: float) -> bool:
        if not np.isfinite(value):
            return False
        if self.best is None:
            return True
        return value > self.best["value"] if self.maximize else value < self.best["value"]


class Errors:
    """Squared and absolute errors summed over batches, as figures in the target's unit.

    Args:
        scale: the target's unit in encoded units.
        variance: of the raw target over the same rows, for r2.
    """

    def __init__(self, scale: float, variance: float) -> None:
        self.scale = scale
        self.variance = variance
        self._sums: list[Tensor] = []
        self._count = 0

    def add(self, prediction: Tensor, target: Tensor) -> None:
        """Adds a batch: both (rows, 1), in encoded units."""
        error = prediction - target
        self._sums.append(torch.stack([(error * error).sum(), error.abs().sum()]))
        self._count += len(target)

    def take(self, prefix: str) -> dict[str, float]:
        """``prefix``/mse, rmse, mae and r2 of the batches since the last call."""
        squared, absolute = torch.stack(self._sums).sum(dim=0).tolist()
        mse = squared / self._count * self.scale**2
        mae = absolute / self._count * self.scale
        self._sums, self._count = [], 0
        r2 = 1 - mse / self.variance if self.variance else float("nan")
        return {f"{prefix}/mse": mse, f"{prefix}/rmse": mse**0.5, f"{prefix}/mae": mae, f"{prefix}/r2": r2}
