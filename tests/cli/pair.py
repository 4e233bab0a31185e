"""One of two processes that train run after run together, so that a pair starts once for many of them."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from tests.compose import trained


class CtrlC(pl.Callback):
    """Presses Ctrl-C in one of the processes.

    Args:
        rank: which.
        epoch: at the start of this one, counted from 1.
    """

    def __init__(self, rank: int, epoch: int) -> None:
        self.rank, self.epoch = rank, epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Presses it."""
        if trainer.global_rank == self.rank and trainer.current_epoch + 1 == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


class Fails(pl.Callback):
    """Raises in one of the processes in the second epoch; the other waits for it."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raises."""
        if trainer.global_rank == self.rank and trainer.current_epoch == 1:
            raise RuntimeError(f"rank {self.rank} has had enough")


def train(plan: dict[str, Any], folder: Path) -> None:
    """Every run of the plan, each by a port of its own."""
    for name, (overrides, port) in plan.items():
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        trained(folder / name, "trainer=ddp", *overrides)


if __name__ == "__main__":
    train(json.loads(sys.argv[1]), Path(sys.argv[2]))
