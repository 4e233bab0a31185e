"""A table of numbers with one target column."""

from dataclasses import dataclass

import numpy as np

from src.errors import UserError


@dataclass(frozen=True)
class Table:
    """Rows to learn from.

    ``features`` is (rows, features) and ``target`` (rows,), both in the precision of the run and
    in the data's own units. ``source`` names the file or generator, ``sha256`` its content.
    """

    features: np.ndarray
    target: np.ndarray
    feature_names: list[str]
    target_name: str
    source: str
    sha256: str

    def __post_init__(self) -> None:
        if len(self.target) < 2:
            raise UserError(f"{self.source}: a line needs at least two rows, found {len(self.target)}")

    def __len__(self) -> int:
        return len(self.target)
