"""Lightning's logger interface over an event file."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger

from src.adapters.tensorboard_events import EventFile
from src.errors import first_line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Curves:
    """What the curves of a run mean.

    Args:
        aim: the figure that it is judged by, and ...
        maximize: ... whether larger is better.
        metric: which metric the training loss is once it is multiplied by ...
        factor: ... this; None where it is none.
    """

    aim: str = ""
    maximize: bool = False
    metric: str | None = None
    factor: float = 1.0


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
        self.broken = False  # whether a write failed, after which nothing more is written
        self._curves = Curves()
        self._best = np.nan

    @property
    def name(self) -> str:
        """As Lightning names it."""
        return "tensorboard"

    @property
    def version(self) -> str:
        """A run folder holds one version only."""
        return ""

    def bind(self, folder: Path, curves: "Curves") -> None:
        """Tells which run folder to write into, and what its curves mean."""
        self._folder, self._curves = folder, curves

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
        if self.broken:
            return
        try:
            self._log_table(table, epochs, last)
        except Exception as error:  # the training goes on without it
            self.broken = True
            log.warning("TensorBoard's curves are left out: %s: %s", type(error).__name__, first_line(error))

    def _log_table(self, table: Mapping[str, np.ndarray], epochs: int | None, last: bool) -> None:
        numbers = table["epoch"].astype(np.int64)
        stride = -(-epochs // self.max_points) if self.max_points and epochs and epochs > 0 else 1
        chosen = (numbers % stride == 0) | (numbers == 1)
        chosen[-1] |= last
        found = {name: values for name, values in table.items() if name not in ("epoch", "step")} | self._derived(table)
        figures = {name: values[chosen] for name, values in found.items()}
        self.file.scalars(numbers[chosen], figures, [name for name in figures if name.startswith(("val/", "final/"))])

    def _derived(self, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The training loss in the target's unit, and what the run would come to, if it ended here."""
        curves, found = self._curves, {}
        train = table["train/loss"] * curves.factor
        if curves.metric is not None:
            found[f"train/{curves.metric}"] = train
        if curves.aim in table:
            better = np.fmax if curves.maximize else np.fmin
            best = better.accumulate(np.append(self._best, table[curves.aim]))[1:]
            self._best = float(best[-1])
            found[f"final/{curves.aim}"] = best
        elif curves.aim == f"train/{curves.metric}":
            found[f"final/{curves.aim}"] = train
        return found

    def finish(self, figures: Mapping[str, float], parameters: Mapping[str, Any], epochs: int) -> None:
        """Ends the file: a line for the HPARAMS tab.

        Args:
            figures: what the run came to, by name; none of a run that came to nothing.
            parameters: what it was set to.
            epochs: that it had.
        """
        aim = {f"final/{self._curves.aim}": np.array([figures.get(self._curves.aim, np.nan)])}
        self.file.scalars(np.array([epochs]), aim)
        # A figure of its own would be a chart of one point: as parameters they stand in the table alone, behind what
        # was set, as the arrow sorts behind letters.
        others = {f"→ {name}": value for name, value in figures.items() if name != self._curves.aim and value == value}
        self.file.hparams({**parameters, **others})

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
