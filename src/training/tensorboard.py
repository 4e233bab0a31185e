"""Lightning's logger interface over an event file."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger

from src.adapters.tensorboard_events import EventFile


class TensorBoard(Logger):
    """Curves by the chunk, and at the end figures, graph and hyperparameters.

    Args:
        max_points: of a curve; epochs between are left to metrics.csv. None writes every epoch.
    """

    def __init__(self, max_points: int | None) -> None:
        super().__init__()
        self.max_points = max_points
        self._folder: Path | None = None
        self._file: EventFile | None = None

    @property
    def name(self) -> str:
        """As Lightning names it."""
        return "tensorboard"

    @property
    def version(self) -> str:
        """A run folder holds one version only."""
        return ""

    def bind(self, folder: Path) -> None:
        """Tells which run folder to write into."""
        self._folder = folder

    @property
    def file(self) -> EventFile:
        """The event file, created at its first use."""
        if self._file is None:
            assert self._folder is not None, "bind() comes first"
            self._file = EventFile(self._folder)
        return self._file

    def log_table(self, table: Mapping[str, np.ndarray], epochs: int | None, last: bool) -> None:
        """Adds epochs to the curves, at most ``max_points`` of them in a training of so many ``epochs``.

        Curves stand over epochs. The very last row is always there.

        Args:
            table: metrics.csv's columns (epochs,) by name.
            epochs: of the whole training; None or -1 where steps decide.
            last: whether no more rows come.
        """
        numbers = table["epoch"].astype(np.int64)
        stride = -(-epochs // self.max_points) if self.max_points and epochs and epochs > 0 else 1
        chosen = (numbers % stride == 0) | (numbers == 1)
        chosen[-1] |= last
        figures = {name: values[chosen] for name, values in table.items() if name not in ("epoch", "step")}
        self.file.scalars(numbers[chosen], figures, [name for name in figures if name.startswith("val/")])

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """What a callback logs by itself."""
        figures = {name: np.array([value]) for name, value in metrics.items() if name != "epoch"}
        self.file.scalars(np.array([step or 0]), figures)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: they are written once, with the final metrics."""

    def close(self) -> None:
        """After the last record of the run."""
        if self._file is not None:
            self._file.close()
