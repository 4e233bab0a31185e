"""Batches handed to Lightning several optimizer steps at a time.

A ``DataLoader`` that collates row by row costs about a millisecond a batch; one gather for many
steps costs a few microseconds a step and is still a ``DataLoader`` to Lightning.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from src.data.order import row_order

_STEPS = 256  # steps of an automatic execution: Lightning's millisecond between two is then below 1 %
_ROWS = 1 << 17  # rows of an automatic execution, so that a gather stays small beside the table


Gather = Callable[[Tensor | slice], tuple[Tensor, Tensor]]


class Stretch(NamedTuple):
    """Consecutive batches of one epoch: rows ``start`` to ``stop`` of its row order."""

    epoch: int
    start: int
    stop: int
    ends_epoch: bool


class Execution:
    """The rows of several optimizer steps, as one (features, target) pair per stretch.

    Features are (rows, features), targets (rows, 1).
    """

    def __init__(self, stretches: list[Stretch], rows: list[tuple[Tensor, Tensor]], batch_size: int) -> None:
        self.stretches = stretches
        self.rows = rows
        self.batch_size = batch_size

    def batches(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The (features, target) of each optimizer step of stretch ``index``, as views."""
        features, target = self.rows[index]
        if len(target) <= self.batch_size:
            return iter(((features, target),))
        return zip(features.split(self.batch_size), target.split(self.batch_size), strict=True)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Execution":
        """The same execution on ``device``; rows shared by several stretches move once."""
        if self.rows[0][0].device == device:
            return self
        moved: dict[int, tuple[Tensor, Tensor]] = {}
        for pair in self.rows:
            if id(pair) not in moved:
                moved[id(pair)] = (
                    pair[0].to(device, non_blocking=non_blocking),
                    pair[1].to(device, non_blocking=non_blocking),
                )
        return Execution(self.stretches, [moved[id(pair)] for pair in self.rows], self.batch_size)


class Executions(Sampler[list[Stretch]]):
    """Cuts epochs into executions; Lightning calls ``set_epoch`` before it iterates.

    Args:
        rows: training rows.
        batch_size: rows of an optimizer step.
        steps: optimizer steps of an execution; None chooses.
        span: whether an execution may hold several epochs when one is short.
        max_epochs: where training ends; an execution never passes it. -1 for no limit.
        max_steps: likewise in optimizer steps.
    """

    def __init__(
        self, rows: int, batch_size: int, steps: int | None, span: bool, max_epochs: int, max_steps: int
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.batches = math.ceil(rows / batch_size)
        self.steps = steps or max(1, min(_STEPS, _ROWS // batch_size))
        self.epochs = max(1, self.steps // self.batches) if span else 1
        self.max_epochs = max_epochs
        self.max_steps = max_steps
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
            stretches = (self._stretch(epoch, 0, self.rows) for epoch in range(self.epoch, last))
            yield [stretch for stretch in stretches if stretch]

    def _stretch(self, epoch: int, start: int, stop: int) -> Stretch | None:
        if self.max_steps != -1:
            stop = min(stop, (self.max_steps - epoch * self.batches) * self.batch_size)
        return Stretch(epoch, start, stop, stop == self.rows) if start < stop else None


class GatheredRows(Dataset[Execution]):
    """Training rows, fetched an execution at a time.

    Args:
        gather: the (features, target) of these training rows, counted from 0.
        rows: training rows.
        batch_size: rows of an optimizer step.
        seed: decides the row order of each epoch; None keeps file order.
        share: this process's (rank, number) of several that train together; each takes its part of every batch.
    """

    def __init__(self, gather: Gather, rows: int, batch_size: int, seed: int | None, share: tuple[int, int]) -> None:
        self.gather = gather
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.share = share
        # A full batch has no order, so a gather would only copy it.
        self._whole = gather(slice(None)) if batch_size >= rows else None
        self._order: tuple[int, Tensor] | None = None

    def __getitem__(self, stretches: list[Stretch]) -> Execution:
        rank, processes = self.share
        rows = [self._fetch(stretch) for stretch in stretches]
        if processes > 1:
            rows = [(features[rank::processes], target[rank::processes]) for features, target in rows]
        return Execution(stretches, rows, self.batch_size)

    def _fetch(self, stretch: Stretch) -> tuple[Tensor, Tensor]:
        if self._whole:
            return self._whole
        if self.seed is None:
            return self.gather(slice(stretch.start, stretch.stop))
        if self._order is None or self._order[0] != stretch.epoch:
            self._order = (stretch.epoch, row_order(self.rows, self.seed, stretch.epoch))
        return self.gather(self._order[1][stretch.start : stretch.stop])


class Chunks(Dataset[tuple[Tensor, Tensor]]):
    """Rows in file order, ``size`` at a time.

    Args:
        gather: as for ``GatheredRows``.
    """

    def __init__(self, gather: Gather, rows: int, size: int) -> None:
        self.gather = gather
        self.rows = rows
        self.size = size

    def __len__(self) -> int:
        return math.ceil(self.rows / self.size)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.gather(slice(index * self.size, (index + 1) * self.size))
