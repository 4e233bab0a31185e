"""The training rows of a stack, served to Lightning an execution at a time."""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from src.data.executions import Executions, Stretch
from src.data.module import DataModule
from src.data.order import row_order


class StackedRows:
    """The rows of several optimizer steps, a (features, target) pair per stretch.

    Features are (rows, features) and targets (rows,) where all members see the same rows in the same
    order, else (members, rows, features) and (members, rows).
    """

    def __init__(self, stretches: list[Stretch], pairs: list[tuple[Tensor, Tensor]], batch_size: int) -> None:
        self.stretches = stretches
        self.pairs = pairs
        self.batch_size = batch_size

    def batches(self, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The (features, target) of each optimizer step of stretch ``index``."""
        features, target = self.pairs[index]
        if target.shape[-1] <= self.batch_size:
            return iter(((features, target),))
        return zip(features.split(self.batch_size, -2), target.split(self.batch_size, -1), strict=True)

    def to(self, device: torch.device, non_blocking: bool = False) -> "StackedRows":
        """The same rows on ``device``."""
        if self.pairs[0][0].device == device:
            return self
        moved = {
            id(pair): (pair[0].to(device, non_blocking=non_blocking), pair[1].to(device, non_blocking=non_blocking))
            for pair in self.pairs
        }
        return StackedRows(self.stretches, [moved[id(pair)] for pair in self.pairs], self.batch_size)


class Gather(Dataset[StackedRows]):
    """Fetches the rows of executions.

    Args:
        features: (rows, features), or (members, rows, features) where members learn different rows.
        target: (rows,) or (members, rows).
        batch_size: rows of an optimizer step.
        seeds: per member what decides its row order; None keeps file order.
    """

    def __init__(self, features: Tensor, target: Tensor, batch_size: int, seeds: Sequence[int] | None) -> None:
        self.pair = (features, target)
        self.batch_size = batch_size
        self.rows = target.shape[-1]
        self.seeds = seeds if batch_size < self.rows else None
        self._order: tuple[int, Tensor] | None = None

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        if self.pair[1].dim() == 2:
            self.pair = (self.pair[0][index], self.pair[1][index])
        if self.seeds is not None:
            self.seeds = [self.seeds[i] for i in index.tolist()]
        self._order = None

    def __getitem__(self, stretches: list[Stretch]) -> StackedRows:
        return StackedRows(stretches, [self._fetch(stretch) for stretch in stretches], self.batch_size)

    def _fetch(self, stretch: Stretch) -> tuple[Tensor, Tensor]:
        features, target = self.pair
        if self.seeds is None:
            if stretch.stop - stretch.start == self.rows:
                return self.pair
            return features[..., stretch.start : stretch.stop, :], target[..., stretch.start : stretch.stop]
        rows = self._orders(stretch.epoch)[..., stretch.start : stretch.stop]
        if target.dim() == 1:
            return features[rows], target[rows]
        if rows.dim() == 1:
            return features[:, rows], target[:, rows]
        members = torch.arange(len(rows))[:, None]
        return features[members, rows], target[members, rows]

    def _orders(self, epoch: int) -> Tensor:
        """Row orders of an epoch: (rows,) where all members share one, else (members, rows)."""
        assert self.seeds is not None
        if self._order is None or self._order[0] != epoch:
            orders = {seed: row_order(self.rows, seed, epoch) for seed in dict.fromkeys(self.seeds)}
            one = next(iter(orders.values()))
            self._order = (epoch, one if len(orders) == 1 else torch.stack([orders[seed] for seed in self.seeds]))
        return self._order[1]


class StackData(pl.LightningDataModule):
    """Serves the rows of all members.

    Args:
        parts: the DataModule of each member; members that learn the same rows share one object.
        orders: per member the seed of its row order; None keeps file order.
        rows_at_once: most rows of an execution, all members' together.
    """

    span = True

    def __init__(self, parts: Sequence[DataModule], orders: Sequence[int] | None, rows_at_once: int) -> None:
        super().__init__()
        self.parts = list(parts)
        self.first = parts[0]
        self.batch_size = self.first.batch_size
        self.batches = self.first.batches
        self.shared = all(part is self.first for part in parts)
        self.gather = Gather(*self.encoded("train"), self.batch_size, orders)
        copies = 1 if self.shared and (orders is None or len(set(orders)) == 1) else len(self.parts)
        steps = self.first.steps_per_execution
        self._steps = steps if steps else max(1, min(256, rows_at_once // (self.batch_size * copies)))

    def encoded(self, name: str) -> tuple[Tensor, Tensor]:
        """Features and target of a part of the rows: with a member axis where members' rows differ."""
        pairs = [part.encoded(name) for part in ([self.first] if self.shared else self.parts)]
        features, target = (torch.stack(tensors) for tensors in zip(*pairs, strict=True))
        return (features[0], target[0, :, 0]) if self.shared else (features, target[:, :, 0])

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        self.parts = [self.parts[i] for i in index.tolist()]
        self.gather.keep(index)

    def train_dataloader(self) -> DataLoader[StackedRows]:
        """Executions, each already gathered."""
        trainer = self.trainer
        assert trainer is not None
        assert trainer.max_epochs is not None
        sampler = Executions(
            self.gather.rows, self.batch_size, self._steps, True, trainer.max_epochs, trainer.max_steps
        )
        return DataLoader(self.gather, batch_size=None, sampler=sampler, generator=torch.Generator())

    def state_dict(self) -> dict[str, Any]:
        """Nothing: each member's checkpoint holds its own encoder."""
        return {}
