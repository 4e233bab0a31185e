"""last.ckpt to go on from and best.ckpt to predict with, written when it matters and not every epoch."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from src.training.checkpoint_files import save
from src.training.history import History
from src.training.plain import whole_epochs
from src.training.stack import Lone

Write = Callable[[pl.Trainer, bool], None]  # told whether the training is over

_SHARE = 20  # so many times as long as the last writing took, training goes on before the next


class Checkpoints(Checkpoint):
    """Has checkpoints written at the end of a training, and every so often before it.

    ``last.ckpt`` is Lightning's full checkpoint (weights, optimizer, scheduler, loops, encoder) with what the history
    knows of the best epoch, and with what the run was trained on and by. ``best.ckpt`` holds the weights of the best
    epoch and the encoder: what a prediction needs. The best weights are kept in memory between writes, because
    writing every improvement to disk costs more than a small model's epoch. ``previous.ckpt`` is the last.ckpt before,
    should that one be damaged. Weights that are not finite are never written over sound ones.

    Args:
        every_n_seconds: how much training a crash may cost; more where writing takes more than a twentieth of it.
        every_n_epochs: likewise in epochs, whichever comes first; None leaves it to the others.
        every_n_steps: likewise in optimizer steps, written at the end of the epoch that they end in.
    """

    def __init__(
        self, every_n_seconds: float, every_n_epochs: int | None = None, every_n_steps: int | None = None
    ) -> None:
        self.every_n_seconds, self.every_n_epochs, self.every_n_steps = every_n_seconds, every_n_epochs, every_n_steps
        self._write: Write = lambda trainer, last: None
        self._due = 0.0
        self._every: int | None = None

    def epochs(self, steps: int) -> int | None:
        """After how many epochs, of so many optimizer steps each, it writes at the latest; None where time alone says.

        Args:
            steps: of an epoch.
        """
        found = [self.every_n_epochs, None if self.every_n_steps is None else -(-self.every_n_steps // steps)]
        return min((count for count in found if count is not None), default=None)

    def bind(self, write: Write, steps: int) -> None:
        """Tells what writes, and the optimizer steps of an epoch."""
        self._write, self._every = write, self.epochs(steps)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._due = time.monotonic() + self.every_n_seconds

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        counted = self._every is not None and whole_epochs(trainer) % self._every == 0
        began = time.monotonic()
        if counted or began >= self._due:
            self._write(trainer, False)
            now = time.monotonic()
            self._due = now + max(self.every_n_seconds, _SHARE * (now - began))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the end of the training."""
        self._write(trainer, True)


class Writer:
    """Writes the checkpoints of a lone run.

    Args:
        folder: where to write.
        member, history: of the run.
        origin: says what the run is trained on and by, in plain values.
        flush: brings the history to the disk before: no kill loses a row that is known.
    """

    def __init__(
        self,
        folder: Path,
        member: Lone,
        history: History,
        origin: Callable[[], dict[str, Any]],
        flush: Write,
    ) -> None:
        self._folder, self._member, self._history = folder, member, history
        self._origin, self._flush = origin, flush

    def __call__(self, trainer: pl.Trainer, last: bool) -> None:
        """Writes both files, after the rows that they know of; ``last`` says whether the training is over."""
        if not trainer.is_global_zero:
            return
        # Not its parents: a run folder that was taken away stays away.
        self._folder.mkdir(exist_ok=True)
        self._flush(trainer, last)
        module: Any = trainer.lightning_module
        there = self._folder / "last.ckpt"
        if there.exists() and not self._sound(module):
            return
        whole = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        whole["History"] = self._history.best_state(self._member.state)
        whole["Run"] = self._origin() | {"whole": module.epochs.whole}
        if ended := self._ended(trainer) if last else self._history.stopped[0]:
            whole["Run"]["ended"] = ended
        save_both(whole, trainer.current_epoch, self._folder)

    def _sound(self, module: pl.LightningModule) -> bool:
        finite = all(bool(part.isfinite().all()) for part in module.parameters())
        return finite and self._history.stopped[0] != "diverged"

    def _ended(self, trainer: pl.Trainer) -> str:
        """How the training ended; of a callback that is not ours is known only that it asked for it."""
        early = trainer.should_stop and trainer.current_epoch != trainer.max_epochs
        return self._history.stopped[0] or ("stopped early" if early else "completed")


def save_both(last: dict[str, Any], epoch: int, folder: Path, durable: bool = True) -> None:
    """Writes last.ckpt, keeping the one before as previous.ckpt, and best.ckpt.

    Args:
        last: the checkpoint of the last epoch, which is ``epoch``.
        folder: it exists.
        durable: see ``save``.
    """
    save(last, folder / "last.ckpt", durable, keep=folder / "previous.ckpt")
    save(best_checkpoint(last, epoch), folder / "best.ckpt", durable)


def best_checkpoint(last: dict[str, Any], epoch: int) -> dict[str, Any]:
    """best.ckpt beside last.ckpt: of the best epoch where there is one, else of the last, which is ``epoch``."""
    same = {name: last[name] for name in ("pytorch-lightning_version", "global_step", "DataModule", "state_dict")}
    if not (best := last["History"]):
        return same | {"epoch": epoch}
    state = {f"net.{name}": value for name, value in best["state_dict"].items()}
    return same | {"epoch": best["epoch"], "global_step": best["step"], "state_dict": state}
