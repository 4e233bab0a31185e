"""Lightning's logger interface over an event file."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from src.results.events import EventFile


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

    def log_rows(self, rows: list[dict[str, float]], epochs: int | None, last: bool) -> None:
        """Adds epochs to the curves, at most ``max_points`` of them in a training of so many ``epochs``.

        Curves stand over epochs. The very last row is always there.
        """
        stride = 1
        if self.max_points and epochs and epochs > 0:
            stride = -(-epochs // self.max_points)
        chosen = [row for row in rows if row["epoch"] % stride == 0 or row["epoch"] == 1]
        if last and rows and (not chosen or chosen[-1] is not rows[-1]):
            chosen.append(rows[-1])
        self.file.scalars(
            (int(row["epoch"]), {n: v for n, v in row.items() if n not in ("epoch", "step")}) for row in chosen
        )

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """What a callback logs by itself."""
        self.file.scalars([(step or 0, {name: value for name, value in metrics.items() if name != "epoch"})])

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: they are written once, with the final metrics."""

    def close(self) -> None:
        """After the last record of the run."""
        if self._file is not None:
            self._file.close()
