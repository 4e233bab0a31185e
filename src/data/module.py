"""The one DataModule: any table, split, encoded and served."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.encoder import Encoder
from src.data.executions import Chunks, Execution, Executions, GatheredRows
from src.data.order import split
from src.data.table import Table
from src.errors import UserError

_ENCODED_ONCE = 1 << 20  # numbers; a table up to here is encoded before training, a larger one an execution at a time
_CHUNK = 1 << 11  # rows looked at together where all rows would be too many: activations stay in cache


class DataModule(pl.LightningDataModule):
    """Splits a table, fits the encoder on its training rows and serves executions.

    Args:
        table: the rows, in their own units.
        batch_size: rows of an optimizer step; None for all training rows.
        shuffle: a new row order each epoch, a function of (seed, epoch).
        val_fraction, test_fraction: shares of the rows kept from training.
        standardize: scale features and target to mean 0 and deviation 1 of the training rows.
        seed: decides split and row order.
        steps_per_execution: see ``Executions``; None chooses.
        span: whether an execution may hold several epochs.

    Raises:
        UserError: the fractions leave fewer than two training rows.
    """

    def __init__(
        self,
        table: Table,
        batch_size: int | None,
        shuffle: bool,
        val_fraction: float,
        test_fraction: float,
        standardize: bool,
        seed: int,
        steps_per_execution: int | None = None,
        span: bool = True,
    ) -> None:
        super().__init__()
        parts = split(len(table), val_fraction, test_fraction, seed)
        self.table = table
        self.rows = dict(zip(("train", "val", "test"), parts, strict=True))
        self.batch_size = min(batch_size or len(parts[0]), len(parts[0]))
        self.seed = seed if shuffle else None
        self.steps_per_execution = steps_per_execution
        self.span = span
        self.encoder = Encoder.fit(table, parts[0], standardize)
        self._encoded: dict[str, tuple[Tensor, Tensor]] = {}

    def splits(self) -> list[str]:
        """The names of the parts that have rows: train, val, test."""
        return [name for name, rows in self.rows.items() if len(rows)]

    def raw(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Features (rows, features) and target (rows,) of a part, in their own units."""
        rows = self.rows[name]
        if len(rows) == len(self.table):
            return self.table.features, self.table.target
        return self.table.features[rows], self.table.target[rows]

    def thinned(self, name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
        """What ``raw`` gives, at most so many rows, evenly taken."""
        rows = self.rows[name]
        chosen = rows[:: -(-len(rows) // most)]
        return self.table.features[chosen], self.table.target[chosen]

    def chunks(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What ``raw`` gives, a few thousand rows at a time."""
        rows = self.rows[name]
        for start in range(0, len(rows), _CHUNK):
            chosen = rows[start : start + _CHUNK]
            yield self.table.features[chosen], self.table.target[chosen]

    def encoded(self, name: str) -> tuple[Tensor, Tensor]:
        """Features (rows, features) and target (rows, 1) of a part, as the net sees them."""
        if name not in self._encoded:
            self._encoded[name] = self.encoder.encode_rows(self.table, self.rows[name])
        return self._encoded[name]

    def sample(self, rows: int) -> tuple[Tensor, Tensor]:
        """The first training rows, as the net sees them."""
        return self.encoder.encode_rows(self.table, self.rows["train"][:rows])

    @property
    def batches(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-len(self.rows["train"]) // self.batch_size)

    def train_dataloader(self) -> DataLoader[Execution]:
        """Executions, each already gathered."""
        trainer = self.trainer
        assert trainer is not None
        assert trainer.max_epochs is not None
        rows = len(self.rows["train"])
        return DataLoader(
            GatheredRows(
                partial(self._gather, "train"),
                rows,
                self.batch_size,
                self.seed,
                (trainer.global_rank, trainer.world_size),
            ),
            batch_size=None,
            # Its own generator: the iterator draws a number, and dropout must not notice.
            generator=torch.Generator(),
            sampler=Executions(
                rows,
                self.batch_size,
                self.steps_per_execution,
                self.span,
                trainer.max_epochs,
                trainer.max_steps,
            ),
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]] | list[Any]:
        """The validation rows in file order, or nothing."""
        rows = len(self.rows["val"])
        return DataLoader(Chunks(partial(self._gather, "val"), rows, _CHUNK), batch_size=None) if rows else []

    def _gather(self, name: str, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Features and target of a part's ``chosen`` rows, as the net sees them."""
        rows = self.rows[name]
        if len(rows) * self.table.features.shape[1] <= _ENCODED_ONCE:
            features, target = self.encoded(name)
            return features[chosen], target[chosen]
        # A second copy of a large table costs more than encoding it again.
        return self.encoder.encode_rows(self.table, rows[chosen.numpy() if isinstance(chosen, Tensor) else chosen])

    def state_dict(self) -> dict[str, Any]:
        """The encoder: what a prediction needs besides the weights."""
        return self.encoder.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the encoder of a checkpoint, so that a resumed run sees the same numbers.

        Raises:
            UserError: the checkpoint was trained on other columns.
        """
        encoder = Encoder.from_state_dict(state_dict)
        if encoder.feature_names != self.encoder.feature_names:
            raise UserError(
                f"the checkpoint was trained on {encoder.feature_names}, this run reads {self.encoder.feature_names}"
            )
        self.encoder = encoder
        self._encoded.clear()


def attached(trainer: pl.Trainer) -> DataModule:
    """The DataModule that a Trainer was started with."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, DataModule)
    return data
