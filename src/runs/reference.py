"""What runs are held against: least squares and the baselines, on the rows that they learn."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch

from src.data.partition import Partition
from src.data.table import one_or_all
from src.models.least_squares import Line, least_squares, parameters
from src.runs.baselines import LINE, fitted, is_wide, on_design, together
from src.training.predictor import figures_of
from src.training.task import overall


@dataclass
class Reference:
    """What runs that learn the same rows are held against, worked out once.

    Args:
        part: the rows.
    """

    part: Partition
    _baselines: dict[str, dict[str, float]] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[tuple[Line, float, float]]:
        """Least squares of what the encoder makes of the rows, to each target: the line, its mse and its r2."""
        weights, places = self.part.weights("train"), range(len(self.part.table.target_names))
        return [least_squares(partial(self.part.design, "train", place), weights) for place in places]

    @cached_property
    def described(self) -> dict[str, float]:
        """The same, as summary.json has it; slopes where they are of raw columns. {} for more columns than is quick."""
        if is_wide(self.part):
            return {}
        table, (lines, mse, r2) = self.part.table, zip(*self.lines, strict=True)
        found = parameters(lines, table.feature_names, table.target_names) if self.part.encoder.is_affine else {}
        if len(lines) == 1:
            return found | {"mse": mse[0], "r2": r2[0]}
        whole = float(
            overall("mse", torch.tensor(mse, dtype=torch.float64), 1, torch.from_numpy(self.part.variance("train")))
        )
        for name, *own in zip(table.target_names, mse, r2, strict=True):
            found |= {f"mse/{name}": own[0], f"r2/{name}": own[1]}
        return found | {"mse": whole, "r2": 1 - whole}

    def baselines(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The figures of baselines that learned the same rows, by name; without those that would take minutes."""
        for name in names:
            if name not in self._baselines:
                known = name == LINE and not is_wide(self.part)
                lines = [on_design(self.part, line) for line, *_ in self.lines] if known else []
                predict = together(lines) if known else fitted(name, self.part)
                self._baselines[name] = figures_of(predict, self.part) if predict else {}
        return {name: found for name in names if (found := self._baselines[name])}

    @cached_property
    def data(self) -> dict[str, Any]:
        """The rows, as summary.json has them."""
        table, rows = self.part.table, self.part.rows
        return {
            "source": table.source,
            "rows": len(table),
            "splits": {name: len(part) for name, part in rows.items() if len(part)},
            "features": table.feature_names,
            "target": one_or_all(table.target_names),
            "sha256": table.sha256,
        } | {
            name: value for name, value in (("weight", table.weight_name), ("left_out", dict(table.left_out))) if value
        }
