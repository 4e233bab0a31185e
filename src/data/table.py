"""A table: one matrix of numbers whose columns have types, with a target or several."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError

_CHUNK = 1 << 16  # numbers looked at together where all would be too many: float64 copies stay in cache

NUMBER, BOOLEAN, CATEGORY, DATE, MOMENT = "number", "boolean", "category", "date", "date and time"


@dataclass(frozen=True)
class Column:
    """What the numbers of a column mean; a gap is NaN, whatever they mean.

    Args:
        name: as in the header.
        kind: number; boolean (0 or 1); category (places in ``values``); date, or date and time (days since 1970).
        values: of a category, in alphabetical order.
        gaps: whether there are any.
    """

    name: str
    kind: str = NUMBER
    values: tuple[str, ...] = ()
    gaps: bool = False


@dataclass(frozen=True)
class Table:
    """Rows to learn from.

    ``features`` is (rows, features), row by row in memory, and ``target`` (rows, targets), in the data's own units; of
    one target (rows,) and its bare name will do. The target is float64, and features are in the run's ``precision``
    unless that would lose their digits; what a net sees is rounded to it once it is scaled. ``source`` names the file
    or generator; ``digest`` gives the SHA-256 of its content, which may still be computed when the table is made.
    ``seconds`` is what reading it took. ``columns`` are the features', numbers unless it says otherwise. ``left_out``
    says of other columns why they are no features, and ``dropped`` counts rows that lack a target. ``group``, ``time``
    and ``split`` (words) are (rows,) where rows are split by them. ``weight`` (rows,), of a column ``weight_name``, is
    how much each counts; None where all count alike.
    """

    features: np.ndarray
    target: np.ndarray
    feature_names: list[str]
    target_names: Sequence[str]
    source: str
    digest: Callable[[], str]
    precision: DTypeLike = np.float32
    seconds: float = 0.0
    columns: list[Column] = field(default_factory=list)
    left_out: Mapping[str, str] = field(default_factory=dict)
    dropped: int = 0
    group: np.ndarray | None = None
    time: np.ndarray | None = None
    split: np.ndarray | None = None
    weight: np.ndarray | None = None
    weight_name: str | None = None

    def __post_init__(self) -> None:
        if len(self.target) < 2:
            raise UserError(f"{self.source}: a line needs at least two rows, found {len(self.target)}")
        if not self.features.flags.c_contiguous:
            object.__setattr__(self, "features", np.ascontiguousarray(self.features))
        object.__setattr__(self, "target", self.target.reshape(len(self.target), -1))
        if isinstance(self.target_names, str):
            object.__setattr__(self, "target_names", [self.target_names])
        if not self.columns:
            object.__setattr__(self, "columns", [Column(name) for name in self.feature_names])

    def __len__(self) -> int:
        return len(self.target)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal; waits until it is known."""
        return self.digest()

    @property
    def is_numeric(self) -> bool:
        """Whether every column is of numbers without gaps."""
        return all(column.kind == NUMBER and not column.gaps for column in self.columns)

    def chunks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Features (rows, features) and target (rows, targets) of these rows, a few thousand at a time."""
        size = min(max(_CHUNK // self.features.shape[1], 1 << 8), 1 << 13)
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            # A few times as fast as by brackets, from what lies row by row.
            yield self.features.take(chosen, axis=0), self.target.take(chosen, axis=0)


def variances(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The variance (targets,) of each column of values (rows, targets), in its unit squared.

    ``weights`` (rows,) say how much each row counts.
    """
    return np.array([_variance(column, weights) for column in values.T.astype(np.float64)])


def _variance(values: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is None:
        return float(values.var())
    return float(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights))


def one_or_all(values: Sequence[Any]) -> Any:
    """What a file says of targets: of one the value, of several all of them."""
    return values[0] if len(values) == 1 else list(values)


def listed(target: Any) -> str:
    """The targets of a file, see ``one_or_all``, in words."""
    return ", ".join(map(str, target)) if isinstance(target, list) else str(target)
