"""The baseline: a straight line of two tensors and an update written by hand.

A net that brings its own update, because writing it out is its whole point: no nn.Linear, no torch.optim, and with
``gradient='analytic'`` no autograd either. It is written for any leading axes: (members, rows, features) as well as
(rows, features).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from src.errors import UserError


class Scratch(nn.Module):
    """y = x w + b, trained by w ← w - lr · ∂loss/∂w and b ← b - lr · ∂loss/∂b.

    Args:
        features: columns of the input.
        init: ``weight`` and ``bias``; None draws uniformly from [0, 1).
        gradient: ``autograd``, or ``analytic`` for the formula.

    Shape:
        (rows, features) to (rows, 1).

    Raises:
        UserError: ``gradient`` is neither.
    """

    def __init__(self, features: int, init: dict[str, float | None], gradient: str) -> None:
        super().__init__()
        if gradient not in ("autograd", "analytic"):
            raise UserError(f"model.gradient must be one of autograd, analytic, found {gradient!r}")
        weight, bias = init["weight"], init["bias"]
        self.weight = nn.Parameter(torch.rand(features, 1) if weight is None else torch.full((features, 1), weight))
        self.bias = nn.Parameter(torch.rand(1) if bias is None else torch.full((1,), bias))
        self.analytic = gradient == "analytic"

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, 1) for (rows, features)."""
        return features @ self.weight + self.bias[..., None, :]

    def step_by_hand(
        self, features: Tensor, target: Tensor, loss: Callable[[Tensor, Tensor], Tensor], lr: float | Tensor
    ) -> Tensor:
        """One update; returns the loss before it, one for each member.

        Args:
            features: (rows, features), or (members, rows, features).
            target: (rows, 1).
            loss: mean squared, mean absolute or Huber error of (prediction, target).
            lr: the learning rate, a number or (members,).
        """
        found = self._by_formula(features, target, loss) if self.analytic else self._by_autograd(features, target, loss)
        with torch.no_grad():
            for parameter in (self.weight, self.bias):
                assert parameter.grad is not None
                rate = lr.view(-1, *[1] * (parameter.dim() - 1)) if isinstance(lr, Tensor) else lr
                parameter.sub_(rate * parameter.grad)
                # Autograd adds to what is there, so each step has to start from zero.
                parameter.grad.zero_()
        return found

    def _by_autograd(self, features: Tensor, target: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        found = loss(self(features), target)
        found.sum().backward()
        return found.detach()

    @torch.no_grad()
    def _by_formula(self, features: Tensor, target: Tensor, loss: Any) -> Tensor:
        prediction = self(features)
        slope = _slope(getattr(loss, "kinds", [loss]), prediction - target)
        parts = (features.mT @ slope / slope.shape[-2], slope.mean(-2))
        for parameter, part in zip((self.weight, self.bias), parts, strict=True):
            if parameter.grad is None:
                parameter.grad = part
            else:
                parameter.grad.copy_(part)
        return loss(prediction, target)


def _slope(losses: list[nn.Module], error: Tensor) -> Tensor:
    """Each row's loss by its prediction, (rows, 1) or (members, rows, 1), from errors of that shape."""
    kinds = {id(loss): loss for loss in losses}
    if len(kinds) == 1:
        return _slope_of(losses[0], error)
    return torch.stack([_slope_of(loss, own) for loss, own in zip(losses, error, strict=True)])


def _slope_of(loss: nn.Module, error: Tensor) -> Tensor:
    if isinstance(loss, nn.MSELoss):
        return 2 * error
    if isinstance(loss, nn.L1Loss):
        return error.sign()
    assert isinstance(loss, nn.HuberLoss)
    return error.clamp(-loss.delta, loss.delta)
