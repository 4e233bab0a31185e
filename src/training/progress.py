"""How a training shows itself: a bar on a terminal, a few quiet lines in a log file."""

import logging
import sys
from typing import Any

import lightning.pytorch as pl

from src.training.record import Record

log = logging.getLogger(__name__)

_LINES = 10


class Progress(pl.Callback):
    """A bar with the time left on a terminal; lines with four decimals elsewhere, or where asked for.

    Args:
        every_n_epochs: print a line so often; None prints ten lines, and none where there is a bar.
    """

    def __init__(self, every_n_epochs: int | None) -> None:
        self.every_n_epochs = every_n_epochs
        self.record = Record()
        self._shown = 0
        self._bar: Any = None
        self._task: Any = None

    def bind(self, record: Record) -> None:
        """Tells whose epochs to show."""
        self.record = record

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        if self.every_n_epochs is None and sys.stderr.isatty() and trainer.is_global_zero:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("epoch"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
                transient=True,
            )
            total = trainer.max_epochs if trainer.max_epochs != -1 else None
            self._task = self._bar.add_task("fit", total=total, completed=trainer.current_epoch, figures="")
            self._bar.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows the epochs that were done since the last time."""
        rows, self._shown = self.record.rows[self._shown :], len(self.record.rows)
        if not rows or not trainer.is_global_zero:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=rows[-1]["epoch"], figures=_figures(rows[-1]))
            return
        total = trainer.max_epochs if trainer.max_epochs not in (None, -1) else 0
        every = self.every_n_epochs or max(1, -(-(total or _LINES) // _LINES))
        for row in rows:
            if row["epoch"] % every == 0:
                log.info("epoch %*d/%s  %s", len(str(total)), row["epoch"], total or "…", _figures(row))

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


def _figures(row: dict[str, float]) -> str:
    return "  ".join(f"{name} {row[name]:.4f}" for name in ("train/loss", "val/mse") if name in row)
