"""A table of numbers with one target column."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError

_CHUNK = 1 << 11  # rows looked at together where all would be too many: float64 copies stay in cache


@dataclass(frozen=True)
class Table:
    """Rows to learn from.

    ``features`` is (rows, features) and ``target`` (rows,), in the data's own units. The target is float64, and
    features are in the run's ``precision`` unless that would lose their digits; what a net sees is rounded to it
    once it is scaled. ``source`` names the file or generator; ``digest`` gives the SHA-256 of its content,
    which may still be computed when the table is made. ``seconds`` is what reading it took.
    """

    features: np.ndarray
    target: np.ndarray
    feature_names: list[str]
    target_name: str
    source: str
    digest: Callable[[], str]
    precision: DTypeLike = np.float32
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if len(self.target) < 2:
            raise UserError(f"{self.source}: a line needs at least two rows, found {len(self.target)}")

    def __len__(self) -> int:
        return len(self.target)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal; waits until it is known."""
        return self.digest()

    def chunks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Features and target of these rows, a few thousand at a time."""
        for start in range(0, len(rows), _CHUNK):
            chosen = rows[start : start + _CHUNK]
            yield self.features[chosen], self.target[chosen]
