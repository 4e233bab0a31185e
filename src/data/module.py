"""The one DataModule: the rows of one member or of many, split, encoded and served."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from src.data.encoder import Encoder
from src.data.executions import Execution, Executions, step_rows
from src.data.gather import Gather
from src.data.partition import Partition
from src.errors import UserError

_STEPS = 256  # steps of an automatic execution: Lightning's millisecond between two is then below 1 %
_ROWS = 1 << 17  # rows of an automatic execution, all members' together, so that a gather stays small


class DataModule(pl.LightningDataModule):
    """Serves executions of members that train together; a lone run is one member.

    Args:
        parts: per member what it learns from; members that learn the same rows share one object.
        seeds: per member what decides its row order; None keeps file order.
        batch_sizes: per member the rows of an optimizer step; None for all, auto for what suits them.
        steps_per_execution: optimizer steps of an execution; None chooses.
        span: whether an execution may hold several epochs.
    """

    def __init__(
        self,
        parts: Sequence[Partition],
        seeds: Sequence[int | None],
        batch_sizes: Sequence[int | str | None],
        steps_per_execution: int | None = None,
        span: bool = True,
    ) -> None:
        super().__init__()
        self.parts = list(parts)
        sizes = [step_rows(size, len(part.rows["train"])) for part, size in zip(parts, batch_sizes, strict=True)]
        self.gather = Gather(parts, seeds, sizes, (0, 1))
        self.steps_per_execution = steps_per_execution
        self.span = span
        self.cut: int | None = None  # epochs whose multiples no execution passes

    @property
    def batch_size(self) -> int:
        """Rows of an optimizer step, the largest member's."""
        return self.gather.batch_size

    @property
    def batches(self) -> int:
        """Optimizer steps of an epoch, the most of any member."""
        return -(-self.gather.rows // self.gather.batch_size)

    def keep(self, index: Sequence[int]) -> None:
        """Keeps only these members."""
        self.parts = [self.parts[i] for i in index]
        self.gather.keep(index)

    def train_dataloader(self) -> DataLoader[Execution]:
        """Executions, each already gathered."""
        trainer = self.trainer
        assert trainer is not None
        assert trainer.max_epochs is not None
        gather = self.gather
        gather.share = (trainer.global_rank, trainer.world_size)
        at_once = gather.batch_size * (1 if gather.one else len(self.parts))
        steps = self.steps_per_execution or max(1, min(_STEPS, _ROWS // at_once))
        return DataLoader(
            gather,
            batch_size=None,
            # Its own generator: the iterator draws a number, and dropout must not notice.
            generator=torch.Generator(),
            sampler=Executions(
                *(gather.rows, gather.batch_size, steps, self.span, trainer.max_epochs, trainer.max_steps, self.cut)
            ),
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation rows of a lone run in file order, or nothing."""
        pairs = self.parts[0].validation(torch.device("cpu")) if len(self.parts) == 1 else []
        return DataLoader(pairs, batch_size=None) if pairs else []  # type: ignore[arg-type]  # a list is a map-style dataset

    def state_dict(self) -> dict[str, Any]:
        """A lone run's encoder: what a prediction needs besides the weights."""
        return self.parts[0].encoder.state_dict() if len(self.parts) == 1 else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the encoder of a checkpoint.

        Raises:
            UserError: the checkpoint was trained on other columns.
        """
        encoder, part = Encoder.from_state_dict(state_dict), self.parts[0]
        if encoder.feature_names != part.encoder.feature_names:
            raise UserError(
                f"the checkpoint was trained on {encoder.feature_names}, this run reads {part.encoder.feature_names}"
            )
        part.use(encoder)


def attached(trainer: pl.Trainer) -> DataModule:
    """The DataModule that a Trainer was started with."""
    data = getattr(trainer, "datamodule", None)
    assert isinstance(data, DataModule)
    return data
