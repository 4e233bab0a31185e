"""How a stack's training shows itself: members × epochs, as a bar on a terminal and a few lines elsewhere."""

import logging
import time
from typing import Any

import lightning.pytorch as pl

from src.stacking.engine import Stack

log = logging.getLogger(__name__)

_SECONDS = 5.0  # between two lines where there is no bar


class StackProgress(pl.Callback):
    """Counts epochs of members over all stacks of a group.

    Args:
        members: of all stacks together.
        epochs: of each.
        bar: whether there is a terminal to draw on.
    """

    def __init__(self, members: int, epochs: int, bar: bool) -> None:
        self._total = members * epochs
        self._done = 0
        self._seen = 0
        self._time = time.monotonic()
        self._bar: Any = None
        self._wanted = bar

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        self._seen = 0
        if self._wanted:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("members × epochs"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("stack", total=self._total, completed=self._done)
            self._bar.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epochs that were done since the last time."""
        assert isinstance(pl_module, Stack)
        self._done += (trainer.current_epoch - self._seen) * len(pl_module.ledger.present)
        self._seen = trainer.current_epoch
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
        elif time.monotonic() - self._time >= _SECONDS:
            self._time = time.monotonic()
            log.info("members × epochs: %d/%d", self._done, self._total)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the bar away."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Likewise."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
