"""last.ckpt to go on from and best.ckpt to predict with, written when it matters and not every epoch."""

import os
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint

from src.training.record import Record


class Checkpoints(Checkpoint):
    """Writes both checkpoints at the end of a training, and every so often before it.

    ``last.ckpt`` is Lightning's full checkpoint (weights, optimizer, scheduler, loops, encoder).
    ``best.ckpt`` holds the weights of the best epoch and the encoder: what a prediction needs. The best
    weights are kept in memory between writes, because writing every improvement to disk costs more than
    a small model's epoch.

    Args:
        every_n_seconds: how much training a crash may cost.
    """

    def __init__(self, every_n_seconds: float) -> None:
        self.every_n_seconds = every_n_seconds
        self.folder: Path | None = None
        self.record = Record()
        self._written = 0.0

    def bind(self, folder: Path, record: Record) -> None:
        """Tells where to write and whose best weights to keep."""
        self.folder = folder
        self.record = record

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        if time.monotonic() - self._written >= self.every_n_seconds:
            self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the end of the training."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if self.folder is None or not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        save(checkpoint, self.folder / "last.ckpt")
        best = {key: checkpoint[key] for key in ("pytorch-lightning_version", "DataModule")}
        best |= {"epoch": trainer.current_epoch, "global_step": trainer.global_step}
        best["state_dict"] = checkpoint["state_dict"]
        if self.record.best is not None:
            prefix = "net." if any(key.startswith("net.") for key in checkpoint["state_dict"]) else ""
            best |= {"epoch": self.record.best["epoch"], "global_step": self.record.best["step"]}
            best["state_dict"] = {prefix + name: value for name, value in self.record.best["weights"].items()}
        save(best, self.folder / "best.ckpt")
        self._written = time.monotonic()


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint in one atomic step: whoever reads it sees the old one or the new one."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    torch.save(checkpoint, partial)
    os.replace(partial, path)
