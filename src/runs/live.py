"""Brings the history of a lone run to metrics.csv and the loggers, in chunks, while it trains."""

import time
from typing import Any

import lightning.pytorch as pl

from src.runs.folder import RunFolder
from src.training.history import History

_SECONDS = 2.0  # between two writes: live enough to watch, rare enough not to cost


class Live(pl.Callback):
    """Every epoch goes to metrics.csv; a logger with ``log_table`` gets them in chunks, others one by one."""

    def __init__(self, folder: RunFolder, history: History) -> None:
        self._folder, self._history = folder, history
        self._written = 0
        self._time = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts epochs from where an earlier training of the run left off."""
        self._history.first = trainer.current_epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        if time.monotonic() - self._time >= _SECONDS:
            self.write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the rest."""
        self.write(trainer, last=True)

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
        for logger in trainer.loggers:
            log_table: Any = getattr(logger, "log_table", None)
            if log_table is not None:
                log_table(table, trainer.max_epochs, last)
            else:
                for place, step in enumerate(table["step"]):
                    row = {name: float(values[place]) for name, values in table.items() if name != "step"}
                    logger.log_metrics({n: v for n, v in row.items() if v == v}, step=int(step))
        self._written += len(table["epoch"])
