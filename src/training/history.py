"""Writes what the record holds to metrics.csv and the loggers, in chunks."""

import time
from typing import Any

import lightning.pytorch as pl

from src.data.module import attached
from src.results.folder import RunFolder
from src.training.record import Record

_SECONDS = 2.0  # between two writes: live enough to watch, rare enough not to cost


class History(pl.Callback):
    """Every epoch goes to metrics.csv; a logger with ``log_rows`` gets them in chunks, others one by one."""

    def __init__(self, folder: RunFolder, record: Record) -> None:
        self.folder = folder
        self.record = record
        self._columns: list[str] = []
        self._written = 0
        self._time = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes when the time has come."""
        if time.monotonic() - self._time >= _SECONDS:
            self._write(trainer, last=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the rest."""
        self._write(trainer, last=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Writes what there is."""
        self._write(trainer, last=True)

    def _write(self, trainer: pl.Trainer, last: bool) -> None:
        rows = self.record.rows[self._written :]
        if not trainer.is_global_zero or not rows:
            return
        if not self._columns:
            # The widest row names the columns: with sparse validation the first ones lack its figures.
            names = {name: None for row in rows for name in row}
            if len(attached(trainer).rows["val"]):
                names |= dict.fromkeys(f"val/{figure}" for figure in ("mse", "rmse", "mae", "r2"))
            self._columns = list(names)
        self.folder.append_metrics(rows, self._columns)
        for logger in trainer.loggers:
            log_rows: Any = getattr(logger, "log_rows", None)
            if log_rows is not None:
                log_rows(rows, trainer.max_epochs, last)
            else:
                for row in rows:
                    logger.log_metrics({n: v for n, v in row.items() if n != "step"}, step=int(row["step"]))
        self._written += len(rows)
        self._time = time.monotonic()
