"""Batches handed to Lightning several optimizer steps at a time.

A ``DataLoader`` that collates row by row costs about a millisecond a batch; one gather for many
steps costs a few microseconds a step and is still a ``DataLoader`` to Lightning.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from src.data.order import row_order
from src.data.partition import Partition

_STEPS = 256  # steps of an automatic execution: Lightning's millisecond between two is then below 1 %
_ROWS = 1 << 17  # rows of an automatic execution, all members' together, so that a gather stays small

# Features, target and, where members' batches have different numbers of rows, the share of each row in its member's
# mean. Features are (rows, features), target (rows, 1); with a member axis in front where members see other rows.
Rows = tuple[Tensor, Tensor, Tensor | None]


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
        moved: dict[int, Rows] = {}
        for rows in self.rows:
            if id(rows) not in moved:
                features, target, share = rows
                moved[id(rows)] = (
                    features.to(device, non_blocking=non_blocking),
                    target.to(device, non_blocking=non_blocking),
                    share if share is None else share.to(device, non_blocking=non_blocking),
                )
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
    """

    def __init__(self, rows: int, batch_size: int, steps: int, span: bool, max_epochs: int, max_steps: int) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.batches = math.ceil(rows / batch_size)
        self.steps = steps
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


def steps_of(batch_size: int, copies: int) -> int:
    """Optimizer steps of an automatic execution, where each fetches so many members' batches."""
    return max(1, min(_STEPS, _ROWS // (batch_size * copies)))


class Gather(Dataset[Execution]):
    """Training rows of members, fetched an execution at a time.

    Args:
        parts: per member what it learns from; members that learn the same rows share one object.
        seeds: per member what decides its row order; None keeps file order.
        sizes: per member the rows of an optimizer step.
        share: this process's (rank, number) of several that train together; each takes its part of every batch.
    """

    def __init__(
        self, parts: Sequence[Partition], seeds: Sequence[int | None], sizes: Sequence[int], share: tuple[int, int]
    ) -> None:
        self.parts, self.share = list(parts), share
        counts = [len(part.rows["train"]) for part in parts]
        self.sizes = [min(size, count) for size, count in zip(sizes, counts, strict=True)]
        # A full batch has no order, so a gather would only copy it.
        self.seeds = [None if s >= n else seed for seed, s, n in zip(seeds, self.sizes, counts, strict=True)]
        self.batch_size = max(self.sizes)
        self.steps = [-(-count // size) for count, size in zip(counts, self.sizes, strict=True)]
        self.ragged = len(set(zip(counts, self.sizes, strict=True))) > 1
        self.rows = max(self.steps) * self.batch_size if self.ragged else counts[0]
        self._fixed: dict[bool, Rows] = {}
        self._order: tuple[int, Tensor] | None = None

    @property
    def one(self) -> bool:
        """Whether all members see the same rows in the same order."""
        return not self.ragged and all(part is self.parts[0] for part in self.parts) and len(set(self.seeds)) == 1

    def keep(self, index: Sequence[int]) -> None:
        """Keeps only these members; what is ragged stays as wide as it is."""
        self.parts, self.seeds = [self.parts[i] for i in index], [self.seeds[i] for i in index]
        self.sizes, self.steps = [self.sizes[i] for i in index], [self.steps[i] for i in index]
        self._fixed, self._order = {}, None

    def __getitem__(self, stretches: list[Stretch]) -> Execution:
        rank, processes = self.share
        rows = [self._fetch(stretch) for stretch in stretches]
        if processes > 1:
            rows = [(features[rank::processes], target[rank::processes], None) for features, target, _ in rows]
        return Execution(stretches, rows, self.batch_size)

    def counts(self) -> Tensor:
        """Rows of each step of an epoch, (steps, members) or, where all are alike, (steps, 1)."""
        if not self.ragged:
            whole = torch.full((self.steps[0], 1), float(self.batch_size), dtype=torch.float64)
            whole[-1] = self.rows - (self.steps[0] - 1) * self.batch_size
            return whole
        found = torch.zeros(self.rows // self.batch_size, len(self.parts), dtype=torch.float64)
        for member, (part, size, steps) in enumerate(zip(self.parts, self.sizes, self.steps, strict=True)):
            found[:steps, member] = size
            found[steps - 1, member] = len(part.rows["train"]) - (steps - 1) * size
        return found

    def _fetch(self, stretch: Stretch) -> Rows:
        if self.ragged:
            return self._ragged(stretch)
        whole = stretch.stop - stretch.start == self.rows
        if all(seed is None for seed in self.seeds):
            if not whole:
                return self._sliced(slice(stretch.start, stretch.stop))
            if True not in self._fixed:
                self._fixed[True] = self._sliced(slice(None))
            return self._fixed[True]
        rows = self._orders(stretch.epoch)[..., stretch.start : stretch.stop]
        part = self.parts[0]
        if all(each is part for each in self.parts):  # (rows,), or (members, rows) of one table
            features, target = part.gather("train", rows.reshape(-1))
            return features.unflatten(0, rows.shape), target.unflatten(0, rows.shape), None
        return self._each(rows if rows.dim() == 2 else rows.expand(len(self.parts), -1))

    def _sliced(self, chosen: slice) -> Rows:
        """The same rows of every member, in file order."""
        if all(part is self.parts[0] for part in self.parts):
            return *self.parts[0].gather("train", chosen), None
        features, target = zip(*(part.gather("train", chosen) for part in self.parts), strict=True)
        return torch.stack(features), torch.stack(target), None

    def _each(self, rows: Tensor) -> Rows:
        """Other rows (members, rows) of each member's own training rows."""
        pairs = [part.gather("train", own) for part, own in zip(self.parts, rows, strict=True)]
        features, target = zip(*pairs, strict=True)
        return torch.stack(features), torch.stack(target), None

    def _orders(self, epoch: int) -> Tensor:
        """Row orders of an epoch: (rows,) where all members share one, else (members, rows)."""
        if self._order is None or self._order[0] != epoch:
            count = len(self.parts[0].rows["train"])
            orders = {seed: _order(count, seed, epoch) for seed in dict.fromkeys(self.seeds)}
            one = next(iter(orders.values()))
            self._order = (epoch, one if len(orders) == 1 else torch.stack([orders[seed] for seed in self.seeds]))
        return self._order[1]

    def _ragged(self, stretch: Stretch) -> Rows:
        """Every member's own batches side by side, each filled up to the widest with rows that do not count."""
        if self._order is None or self._order[0] != stretch.epoch:
            index = torch.zeros(len(self.parts), self.rows, dtype=torch.int32)
            for own, part, seed, size, steps in zip(index, self.parts, self.seeds, self.sizes, self.steps, strict=True):
                count = len(part.rows["train"])
                rows = torch.zeros(steps * size, dtype=torch.int32)
                rows[:count] = _order(count, seed, stretch.epoch)
                own.view(-1, self.batch_size)[:steps, :size] = rows.view(steps, size)
            self._order = (stretch.epoch, index)
        chosen = self._order[1][:, stretch.start : stretch.stop]
        features, target, _ = self._each(chosen)
        first, last = stretch.start // self.batch_size, -(-stretch.stop // self.batch_size)
        counts = self.counts()[first:last].T  # (members, steps)
        place = torch.arange(self.batch_size)
        share = (place < counts[:, :, None]) / counts[:, :, None].clamp(min=1)
        return features, target, share.flatten(1)[:, :, None].to(target.dtype)


def _order(rows: int, seed: int | None, epoch: int) -> Tensor:
    return torch.arange(rows, dtype=torch.int32) if seed is None else row_order(rows, seed, epoch)


class Chunks(Dataset[tuple[Tensor, Tensor]]):
    """The validation rows in file order, as ``Partition.validation`` cuts them."""

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pairs[index]
