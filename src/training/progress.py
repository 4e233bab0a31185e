"""How a training shows itself: a bar on a terminal, a few quiet lines in a log file."""

import logging
import sys
import time
from typing import Any

import lightning.pytorch as pl

from src.training.bar import Bar
from src.training.history import History

log = logging.getLogger(__name__)

_LINES = 10  # of a lone run
_SECONDS = 5.0  # between two lines of a stack


class _WithBar(pl.Callback):
    """A bar, once it is opened and until training ends."""

    _bar: Bar | None = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Likewise."""
        self.on_train_end(trainer, pl_module)


class Progress(_WithBar):
    """A bar with the time left on a terminal; lines with four decimals elsewhere, or where asked for.

    Args:
        every_n_epochs: print a line so often; None prints ten lines, and none where there is a bar.
    """

    def __init__(self, every_n_epochs: int | None) -> None:
        self.every_n_epochs = every_n_epochs
        self._history = History()
        self._shown = 0

    def bind(self, history: History) -> None:
        """Tells whose epochs to show."""
        self._history = history

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        if self.every_n_epochs is None and sys.stderr.isatty() and trainer.is_global_zero:
            total = trainer.max_epochs if trainer.max_epochs != -1 else None
            self._bar = Bar("epoch", total, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows the epochs that were done since the last time."""
        history, since = self._history, self._shown
        self._shown = history.length
        if self._shown == since or not trainer.is_global_zero:
            return
        epoch = history.first + self._shown
        if self._bar is not None:
            self._bar.show(epoch, _figures(history.columns(self._shown - 1), 0))
            return
        total = trainer.max_epochs if trainer.max_epochs not in (None, -1) else 0
        every = self.every_n_epochs or max(1, -(-(total or _LINES) // _LINES))
        due = [e for e in range(history.first + since + 1, epoch + 1) if e % every == 0]
        columns = history.columns(since) if due else {}
        for each in due:
            said = _figures(columns, each - history.first - since - 1)
            log.info("epoch %*d/%s  %s", len(str(total)), each, total or "…", said)


class StackProgress(_WithBar):
    """Counts epochs of members over all stacks of a group: a bar on a terminal, and a line now and then elsewhere.

    Args:
        members: of all stacks together.
        epochs: of each.
        bar: whether there is a terminal to draw on.
    """

    def __init__(self, members: int, epochs: int, bar: bool) -> None:
        self._total, self._wanted = members * epochs, bar
        self._done = self._seen = 0
        self._time = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the bar."""
        self._seen = 0
        if self._wanted:
            self._bar = Bar("members × epochs", self._total, self._done)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epochs that were done since the last time."""
        history: Any = pl_module.history
        self._done += (trainer.current_epoch - self._seen) * len(history.present)
        self._seen = trainer.current_epoch
        if self._bar is not None:
            self._bar.show(self._done)
        elif time.monotonic() - self._time >= _SECONDS:
            self._time = time.monotonic()
            log.info("members × epochs: %d/%d", self._done, self._total)


def _figures(columns: dict[str, Any], place: int) -> str:
    shown = {name: columns[name][place, 0] for name in ("train/loss", "val/mse") if name in columns}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if value == value)
