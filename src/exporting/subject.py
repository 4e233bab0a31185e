"""What is exported, with all that its files and their card say of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.data.table import Table, one_or_all
from src.exporting.whole import Whole
from src.runs.interval import Output


@dataclass(frozen=True)
class Subject:
    """A run's models and their surroundings.

    Args:
        cfg, summary: the run's.
        table: the rows that it is checked on.
        whole: the models.
        targets: the columns that they predict.
        interval: the share of targets that it is to hold; None without one.
        outputs: the prediction and what goes with it.
    """

    cfg: DictConfig
    summary: dict[str, Any]
    table: Table
    whole: Whole
    targets: list[str]
    interval: float | None
    outputs: list[Output]

    @property
    def source(self) -> str:
        """The name of the rows' file: where it lies is nobody's business."""
        return Path(self.table.source).name

    @property
    def sha256(self) -> str:
        """Of the rows that the run learned from."""
        return self.summary.get("data", {}).get("sha256") or self.table.sha256

    def described(self) -> dict[str, Any]:
        """For a file's metadata, in plain values."""
        columns = [
            {"name": c.name, "kind": c.kind, "gaps": c.gaps, "values": list(c.values)} for c in self.whole.columns
        ]
        return {"target": one_or_all(self.targets), "columns": columns, "source": self.source, "sha256": self.sha256}
