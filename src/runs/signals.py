"""What asks a training to end: Ctrl-C, SIGTERM, SIGHUP, SIGQUIT end it after its epoch, a second one at once."""

import signal
import threading
from typing import Any

import lightning.pytorch as pl

from src.adapters.signals import ENDING, forget, heard
from src.training.history import History


class Interruptible(pl.Callback):
    """While it is entered, a first signal has the history stop; what it was is known to ``heard`` from then on.

    Args:
        history: of the training.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._before: dict[Any, Any] = {}

    def __enter__(self) -> None:
        """Takes the signals over, but those that are ignored, as under nohup."""
        if threading.current_thread() is threading.main_thread():
            forget()
            handlers = {each: signal.getsignal(each) for each in ENDING}
            self._before = {each: handler for each, handler in handlers.items() if handler != signal.SIG_IGN}
            self._take()

    def __exit__(self, *_: Any) -> None:
        """Gives them back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes them over again: Lightning has put its own way with SIGTERM, which loses the epoch, in between."""
        if not self._history.asked:
            self._take()

    def _take(self) -> None:
        for each in self._before:
            signal.signal(each, self._stop)

    def _stop(self, number: int, _: Any) -> None:
        heard(number)
        self._history.stop("interrupted")
        for each in self._before:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
