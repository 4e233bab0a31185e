"""Batches handed to Lightning several optimizer steps at a time.

A ``DataLoader`` that collates row by row costs about a millisecond a batch; one gather for many
steps costs a few microseconds a step and is still a ``DataLoader`` to Lightning.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

# Features, target and, where rows are weighed or members' batches have different numbers of rows, the share of each row
# in the mean. Features are (rows, features), target (rows, 1) and share likewise; with a member axis in front where
# members see other rows.
Rows = tuple[Tensor, Tensor, Tensor | None]


def step_rows(batch_size: int | str | None, rows: int) -> int:
    """Rows of an optimizer step of so many: as asked for, None takes all, auto 64 of few and 256 of many."""
    size = rows if batch_size is None else (64 if rows < 1000 else 256) if batch_size == "auto" else int(batch_size)
    return min(size, rows)


class Stretch(NamedTuple):
    """Consecutive batches of one epoch: rows ``start`` to ``stop`` of its row order."""

    epoch: int
    start: int
    stop: int
    ends_epoch: bool


class Execution:
    """The rows of several optimizer steps, one ``Rows`` per stretch."""

    def __init__(self, stretches: list[Stretch], rows: list[Rows], batch_size: int) -> None:
        self.stretches, self.rows, self.batch_size = stretches, rows, batch_size

    def batches(self, index: int) -> Iterator[Rows]:
        """The rows of each optimizer step of stretch ``index``, as views."""
        features, target, share = self.rows[index]
        size = self.batch_size
        if target.shape[-2] <= size:
            return iter(((features, target, share),))
        parts = features.split(size, -2), target.split(size, -2)
        shares: Sequence[Tensor | None] = [None] * len(parts[1]) if share is None else share.split(size, -2)
        return zip(*parts, shares, strict=True)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Execution":
        """The same execution on ``device``; rows shared by several stretches move once."""
        if self.rows[0][0].device == device:
            return self
        moved: dict[int, Any] = {
            id(rows): tuple(part if part is None else part.to(device, non_blocking=non_blocking) for part in rows)
            for rows in self.rows
        }
        return Execution(self.stretches, [moved[id(rows)] for rows in self.rows], self.batch_size)


class Executions(Sampler[list[Stretch]]):
    """Cuts epochs into executions; Lightning calls ``set_epoch`` before it iterates.

    Args:
        rows: training rows.
        batch_size: rows of an optimizer step.
        steps: optimizer steps of an execution.
        span: whether an execution may hold several epochs when one is short.
        max_epochs: where training ends; an execution never passes it. -1 for no limit.
        max_steps: likewise in optimizer steps.
        cut: nor does it pass a multiple of so many epochs; None for no such bound.
    """

    def __init__(
        self,
        rows: int,
        batch_size: int,
        steps: int,
        span: bool,
        max_epochs: int,
        max_steps: int,
        cut: int | None = None,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.batches = math.ceil(rows / batch_size)
        self.steps = steps
        self.epochs = max(1, self.steps // self.batches) if span else 1
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.cut = cut
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Start from this epoch at the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.batches / self.steps) if self.epochs == 1 else 1

    def __iter__(self) -> Iterator[list[Stretch]]:
        if self.epochs == 1:
            rows = self.steps * self.batch_size
            for start in range(0, self.rows, rows):
                if stretch := self._stretch(self.epoch, start, min(start + rows, self.rows)):
                    yield [stretch]
        else:
            last = self.epoch + self.epochs
            if self.max_epochs != -1:
                last = min(last, self.max_epochs)
            if self.cut is not None:
                last = min(last, (self.epoch // self.cut + 1) * self.cut)
            stretches = (self._stretch(epoch, 0, self.rows) for epoch in range(self.epoch, last))
            yield [stretch for stretch in stretches if stretch]

    def _stretch(self, epoch: int, start: int, stop: int) -> Stretch | None:
        if self.max_steps != -1:
            stop = min(stop, (self.max_steps - epoch * self.batches) * self.batch_size)
        return Stretch(epoch, start, stop, stop == self.rows) if start < stop else None
