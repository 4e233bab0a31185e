"""Losses with a member axis: one number for each member, whatever the loss."""

import copy
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, cast

import torch
from torch import Tensor, nn

from src.errors import UserError, first_line
from src.training.stack import Alone

Rows = Callable[[Tensor, Tensor], Tensor]  # prediction and target, (…, rows, outputs), to a loss of that shape


def rows_of(loss: nn.Module) -> Rows | None:
    """The loss of each row whose mean a loss is; None where it is not known for one."""
    if isinstance(loss, OfEach):
        return loss.by_rows()
    if getattr(loss, "reduction", None) != "mean":
        return None
    found = copy.copy(loss)
    found.reduction = "none"  # type: ignore[assignment]  # torch types what a module has as tensors
    return found


def check_weighable(loss: nn.Module) -> None:
    """Holds the mean of a loss's rows against the loss.

    Raises:
        UserError: it says nothing of rows, or something else.
    """
    prediction, target = torch.randn(2, 8, 1, generator=torch.Generator().manual_seed(0)).unbind()
    by_rows = rows_of(loss)
    try:
        found = by_rows and by_rows(prediction, target)
        if found is not None and found.shape[0] == 8 and torch.allclose(found.mean(), loss(prediction, target)):
            return
    except Exception:  # whatever code that nobody here knows may raise
        pass
    name = type(loss.loss if isinstance(loss, OfEach) else loss).__name__
    raise UserError(
        f"data.weight needs a loss that is a mean over rows and takes reduction=none, which {name} does not"
    )


def weighed(by_rows: Rows, prediction: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """The mean (…) of the losses of rows, each of which counts its share, (…, rows, 1)."""
    return (by_rows(prediction, target) * share).sum(-2).mean(-1)


class OfEach(nn.Module):
    """The loss of a net that gives several predictions of a target, each of which learns by itself.

    Args:
        loss: a mean.

    Shape:
        prediction (rows, predictions, outputs), target (rows, outputs).
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over predictions."""
        if prediction.dim() > target.dim():
            target = target.unsqueeze(-2).expand(*prediction.shape[:-1], -1)
        return self.loss(prediction, target)

    def by_rows(self) -> "Rows | None":
        """Its loss of each row, (…, rows, outputs), where it has one."""
        by_rows = rows_of(self.loss)
        if by_rows is None:
            return None
        each = OfEach(cast("nn.Module", by_rows))
        return lambda p, t: each(p, t).mean(-2) if p.dim() > t.dim() else each(p, t)


class Losses:
    """The losses of members, each its own mean over its own rows.

    Args:
        losses: per member what takes (prediction, target), both (rows, outputs), and returns a number; equal ones
            are one object.
    """

    def __init__(self, losses: Sequence[nn.Module]) -> None:
        self.kinds = list(losses)
        self._arrange()

    def __call__(self, prediction: Tensor, target: Tensor, share: Tensor | None = None) -> Tensor:
        """Losses (members,).

        Args:
            prediction: (members, rows, outputs).
            target: likewise, or (rows, outputs) where all members see the same.
            share: each row's part (members, rows, 1) of its member's mean, or (rows, 1); None where all count alike.
        """
        if target.dim() == 2:
            target = target.expand(len(prediction), *target.shape)
        if len(self._runs) == 1:
            return _each(self._runs[0][0], prediction, target, share)
        found, start = [], 0
        for loss, count in self._runs:
            own = slice(start, start + count)
            part = share if share is None or share.dim() == 2 else share[own]
            found.append(_each(loss, prediction[own], target[own], part))
            start += count
        return torch.cat(found)

    def keep(self, index: Sequence[int]) -> None:
        """Keeps only these members."""
        self.kinds = [self.kinds[i] for i in index]
        self._arrange()

    def _arrange(self) -> None:
        apart: dict[int, Any] = {}
        for loss in self.kinds:
            if id(loss) not in apart:
                apart[id(loss)] = copy.copy(loss)
                if getattr(loss, "reduction", None) == "mean":
                    apart[id(loss)].reduction = "none"
        self._runs = [(apart[key], len(list(same))) for key, same in groupby(id(loss) for loss in self.kinds)]


def _each(loss: nn.Module, prediction: Tensor, target: Tensor, share: Tensor | None) -> Tensor:
    if getattr(loss, "reduction", None) == "none":
        rows = loss(prediction, target)  # (members, rows, outputs)
        return rows.mean((1, 2)) if share is None else (rows * share).sum(1).mean(1)
    if share is not None and (by_rows := rows_of(loss)) is not None:
        return weighed(by_rows, prediction, target, share)
    return torch.func.vmap(loss)(prediction, target)


def check_losses(losses: Sequence[nn.Module], ragged: bool) -> None:
    """Holds losses against themselves: with a member axis each has to give what it gives alone.

    Raises:
        Alone: one does not.
    """
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 3, 8, 1, generator=generator).unbind()
    for loss in {id(loss): loss for loss in losses}.values():
        if ragged and getattr(loss, "reduction", None) != "mean":
            raise Alone(
                f"its loss {type(loss).__name__} is no mean over rows, and its members have batches of their own"
            )
        try:
            found = Losses([loss] * 3)(prediction, target)
        except Exception as error:  # whatever code that nobody here knows may raise
            raise Alone(f"its loss has no form with a member axis ({first_line(error)})") from error
        alone = torch.stack([loss(*pair) for pair in zip(prediction, target, strict=True)])
        if found.shape != alone.shape or not torch.allclose(found, alone, rtol=1e-4):
            raise Alone(f"its loss {type(loss).__name__} has no form with a member axis")
