"""last.ckpt to go on from and best.ckpt to predict with, written when it matters and not every epoch."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from src.results.checkpoint_files import save
from src.training.history import History
from src.training.stack import Lone


class Checkpoints(Checkpoint):
    """Writes both checkpoints at the end of a training, and every so often before it.

    ``last.ckpt`` is Lightning's full checkpoint (weights, optimizer, scheduler, loops, encoder) with what the history
    knows of the best epoch. ``best.ckpt`` holds the weights of the best epoch and the encoder: what a prediction
    needs. The best weights are kept in memory between writes, because writing every improvement to disk costs more
    than a small model's epoch.

    Args:
        every_n_seconds: how much training a crash may cost.
    """

    def __init__(self, every_n_seconds: float) -> None:
        self.every_n_seconds = every_n_seconds
        self._folder: Path | None = None
        self._flush: Callable[[pl.Trainer, bool], None] = lambda trainer, last: None
        self._written = 0.0

    def bind(self, folder: Path, member: Lone, history: History, flush: Callable[[pl.Trainer, bool], None]) -> None:
        """Tells where to write, and what brings the history to the disk before: no kill loses a row that is known."""
        self._folder, self._member, self._history, self._flush = folder, member, history, flush

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        if time.monotonic() - self._written >= self.every_n_seconds:
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the end of the training."""
        self._write(trainer, last=True)

    def _write(self, trainer: pl.Trainer, last: bool = False) -> None:
        if self._folder is None or not trainer.is_global_zero:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._flush(trainer, last)
        history = self._history
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        save(checkpoint | {"History": history.best_state()}, self._folder / "last.ckpt")
        epoch, step, state = trainer.current_epoch, trainer.global_step, checkpoint["state_dict"]
        if history.best is not None:
            rows, buffers = history.best
            epoch, step = int(history.best_epoch[0]), int(history.best_step[0])
            own = self._member.state(rows[0], {name: part[0] for name, part in buffers.items()})
            state = {f"net.{name}": value for name, value in own.items()}
        save(best_checkpoint(checkpoint, epoch, step, checkpoint["DataModule"], state), self._folder / "best.ckpt")
        self._written = time.monotonic()


def best_checkpoint(
    whole: dict[str, Any], epoch: int, step: int, encoder: dict[str, Any], state: dict[str, Any]
) -> dict[str, Any]:
    """best.ckpt beside the whole checkpoint of the same training."""
    version = {"pytorch-lightning_version": whole["pytorch-lightning_version"]}
    return version | {"epoch": epoch, "global_step": step, "DataModule": encoder, "state_dict": state}
