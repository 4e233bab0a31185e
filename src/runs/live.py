"""Brings the history of a lone run to metrics.csv and the loggers, in chunks, while it trains."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np

from src.errors import first_line
from src.runs.folder import RunFolder
from src.runs.metrics_file import flush
from src.training.history import History
from src.training.plain import whole_epochs

log = logging.getLogger(__name__)

_SECONDS = 2.0  # between two writes: live enough to watch, rare enough not to cost


class Live(pl.Callback):
    """Every epoch goes to metrics.csv; a logger with ``log_table`` gets them in chunks, others one by one."""

    def __init__(self, folder: RunFolder, history: History) -> None:
        self._folder, self._history = folder, history
        self._written = 0
        self._broken: list[Any] = []  # loggers
        self._time = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts epochs from where an earlier training of the run left off."""
        self._history.first = whole_epochs(trainer)
        self.again(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        if time.monotonic() - self._time >= _SECONDS:
            self.write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the rest."""
        self.write(trainer, last=True)

    def flush(self, trainer: pl.Trainer, last: bool) -> None:
        """Writes what there is, and has it outlive a power cut: a checkpoint that knows of it comes next."""
        self.write(trainer, last)
        if trainer.is_global_zero and self._folder.metrics.exists():
            flush(self._folder.metrics)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Writes what there is."""
        self.write(trainer, last=True)

    def write(self, trainer: pl.Trainer, last: bool = False) -> None:
        """Writes what is not written yet."""
        table = {name: values[:, 0] for name, values in self._history.table(self._written).items()}
        self._time = time.monotonic()
        if not trainer.is_global_zero or not table:
            return
        self._folder.append_metrics(table)
        self._written += len(table["epoch"])
        self._log(trainer, table, last)

    def again(self, trainer: pl.Trainer, last: bool = False) -> None:
        """Tells dashboards what an earlier part of the run wrote into the same folder."""
        there = {name: np.array(values) for name, values in self._folder.read_metrics().items()}
        if there and trainer.is_global_zero:
            self._log(trainer, there, last, tables_only=True)

    def _log(self, trainer: pl.Trainer, table: Mapping[str, Any], last: bool, tables_only: bool = False) -> None:
        for logger in [each for each in trainer.loggers if each not in self._broken]:
            log_table: Any = getattr(logger, "log_table", None)
            try:
                if log_table is not None:
                    log_table(table, trainer.max_epochs, last)
                elif not tables_only:
                    _one_by_one(logger, table)
            except Exception as error:  # a dashboard is no reason to lose a training
                self._broken.append(logger)
                said = f"{type(error).__name__}: {first_line(error)}"
                log.warning("%s gets no more figures: %s", type(logger).__name__, said)


def _one_by_one(logger: Any, table: Mapping[str, Any]) -> None:
    for place, step in enumerate(table["step"]):
        row = {name: float(values[place]) for name, values in table.items() if name != "step"}
        logger.log_metrics({n: v for n, v in row.items() if v == v}, step=int(step))
