"""Training rows of members, fetched an execution at a time, and how much each counts."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from src.data.executions import Execution, Rows, Stretch
from src.data.order import row_order
from src.data.partition import Partition


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
        self._whole: Rows | None = None
        self._order: tuple[int, Tensor] | None = None

    @property
    def one(self) -> bool:
        """Whether all members see the same rows in the same order."""
        return not self.ragged and self._shared and len(set(self.seeds)) == 1

    @property
    def _shared(self) -> bool:
        return all(part is self.parts[0] for part in self.parts)

    def keep(self, index: Sequence[int]) -> None:
        """Keeps only these members; what is ragged stays as wide as it is."""
        self.parts, self.seeds = [self.parts[i] for i in index], [self.seeds[i] for i in index]
        self.sizes, self.steps = [self.sizes[i] for i in index], [self.steps[i] for i in index]
        self._whole, self._order = None, None

    def __getitem__(self, stretches: list[Stretch]) -> Execution:
        rank, processes = self.share
        rows = [self._fetch(stretch) for stretch in stretches]
        if processes > 1:
            own = slice(rank, None, processes)
            rows = [(f[own], t[own], share if share is None else share[own]) for f, t, share in rows]
        return Execution(stretches, rows, self.batch_size)

    def counts(self) -> Tensor:
        """Rows of each step of an epoch, (steps, members) or, where all are alike, (steps, 1)."""
        members = len(self.parts) if self.ragged else 1
        found = torch.zeros(-(-self.rows // self.batch_size), members, dtype=torch.float64)
        for member in range(members):
            size, steps = self.sizes[member], self.steps[member]
            found[:steps, member] = size
            found[steps - 1, member] = len(self.parts[member].rows["train"]) - (steps - 1) * size
        return found

    def _fetch(self, stretch: Stretch) -> Rows:
        chosen = slice(stretch.start, stretch.stop)
        if self.ragged:
            return self._shared_out(self._orders(stretch.epoch)[:, chosen], stretch)
        if any(seed is not None for seed in self.seeds):
            return self._shared_out(self._orders(stretch.epoch)[..., chosen], stretch)
        if stretch.stop - stretch.start < self.rows:
            return self._shared_out(chosen, stretch)
        if self._whole is None:
            self._whole = self._shared_out(slice(None), stretch)
        return self._whole

    def _shared_out(self, chosen: Tensor | slice, stretch: Stretch) -> Rows:
        features, target = self._gather(chosen)
        share = self._share_of_mean(stretch) if self.ragged else None
        if self.weighed:
            weights = self._weights(chosen)
            weights = weights if share is None else weights * (share[..., 0] > 0)
            batches = self._by_batch(weights)
            # A batch whose rows all weigh 0 teaches nothing.
            share = batches / batches.sum(-1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
            share = share.flatten(-2)[..., : weights.shape[-1], None]
        return features, target, share if share is None else share.to(target.dtype)

    @property
    def weighed(self) -> bool:
        """Whether rows count by their weights."""
        return self.parts[0].weights("train") is not None

    def step_weights(self, epoch: int) -> Tensor:
        """What the rows of each step of an epoch weigh together, (steps, members), or (steps, 1) if all are alike."""
        weights = self._weights(self._orders(epoch))
        if self.ragged:
            counted = self._share_of_mean(Stretch(epoch, 0, self.rows, True))[..., 0] > 0
            weights = weights * counted
        return self._by_batch(weights).sum(-1).view(-1, -(-self.rows // self.batch_size)).T

    def _weights(self, chosen: Tensor | slice) -> Tensor:
        """How much rows count, (rows,) where members see the same, else (members, rows), float64."""

        def of(part: Partition, rows: Tensor | slice) -> Tensor:
            weights = part.weights("train")
            assert weights is not None
            return torch.from_numpy(weights)[rows]

        if self._shared:
            return of(self.parts[0], chosen)
        own = chosen if isinstance(chosen, Tensor) and chosen.dim() == 2 else [chosen] * len(self.parts)
        return torch.stack([of(part, each) for part, each in zip(self.parts, own, strict=True)])

    def _by_batch(self, rows: Tensor) -> Tensor:
        """Values (…, rows) from the beginning of a batch on as (…, steps, rows), the last batch filled up with 0."""
        return functional.pad(rows, (0, -rows.shape[-1] % self.batch_size)).unflatten(-1, (-1, self.batch_size))

    def _gather(self, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Rows that all members see, a slice or (rows,), or (members, rows) with each member's own."""
        if self._shared:
            return self.parts[0].gather("train", chosen)
        own = chosen if isinstance(chosen, Tensor) and chosen.dim() == 2 else [chosen] * len(self.parts)
        pairs = [part.gather("train", each) for part, each in zip(self.parts, own, strict=True)]
        features, target = zip(*pairs, strict=True)
        return torch.stack(features), torch.stack(target)

    def _orders(self, epoch: int) -> Tensor:
        """Row orders of an epoch: (rows,) where all members share one, else (members, rows).

        Members of different lengths have their batches side by side, each filled up with rows that do not count.
        """
        if self._order is None or self._order[0] != epoch:
            counts = [len(part.rows["train"]) for part in self.parts]
            kinds = list(zip(counts, self.seeds, self.sizes, strict=True))
            orders = {kind: self._padded(*kind, epoch) for kind in dict.fromkeys(kinds)}
            one = len(orders) == 1 and not self.ragged
            self._order = (epoch, orders[kinds[0]] if one else torch.stack([orders[kind] for kind in kinds]))
        return self._order[1]

    def _padded(self, count: int, seed: int | None, size: int, epoch: int) -> Tensor:
        order = torch.arange(count, dtype=torch.int32) if seed is None else row_order(count, seed, epoch)
        if not self.ragged:
            return order
        batches = functional.pad(order, (0, -count % size)).view(-1, size)
        missing = self.rows // self.batch_size - len(batches)
        return functional.pad(batches, (0, self.batch_size - size, 0, missing)).flatten()

    def _share_of_mean(self, stretch: Stretch) -> Tensor:
        """What each row of ragged batches counts in its member's mean, (members, rows, 1)."""
        first, last = stretch.start // self.batch_size, -(-stretch.stop // self.batch_size)
        counts = self.counts()[first:last].T[:, :, None]  # (members, steps, 1)
        share = (torch.arange(self.batch_size) < counts) / counts.clamp(min=1)
        return share.flatten(1)[:, :, None]
