"""Losses with a member axis: each member's mean over its rows, and the slope by its predictions."""

import torch
from torch import Tensor

LOSSES = ("torch.nn.MSELoss", "torch.nn.L1Loss", "torch.nn.HuberLoss")


class Losses:
    """Squared, absolute or Huber error, one of them for each member.

    Args:
        kinds: per member a name in ``LOSSES``.
        deltas: per member where Huber's error turns from squared to absolute; ignored by the others.
        like: gives precision and device.
    """

    def __init__(self, kinds: list[str], deltas: list[float], like: Tensor) -> None:
        self._common = kinds[0] if len(set(kinds)) == 1 else None
        self._squared = torch.tensor([kind == LOSSES[0] for kind in kinds], device=like.device)[:, None]
        self._absolute = torch.tensor([kind == LOSSES[1] for kind in kinds], device=like.device)[:, None]
        self._delta = torch.tensor(deltas, dtype=like.dtype, device=like.device)[:, None]

    def __call__(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (members,) and slopes (members, rows) of errors (members, rows), prediction - target."""
        rows = error.shape[1]
        if self._common == LOSSES[0]:
            return (error * error).mean(1), error * (2 / rows)
        if self._common == LOSSES[1]:
            return error.abs().mean(1), error.sign().div_(rows)
        loss, slope = self._huber(error)
        if self._common is None:
            loss = torch.where(self._squared, error * error, torch.where(self._absolute, error.abs(), loss))
            slope = torch.where(self._squared, 2 * error, torch.where(self._absolute, error.sign(), slope))
        return loss.mean(1), slope / rows

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        self._squared, self._absolute, self._delta = (
            part[index] for part in (self._squared, self._absolute, self._delta)
        )

    def _huber(self, error: Tensor) -> tuple[Tensor, Tensor]:
        size = error.abs()
        loss = torch.where(size < self._delta, 0.5 * error * error, self._delta * (size - 0.5 * self._delta))
        return loss, torch.maximum(torch.minimum(error, self._delta), -self._delta)
