"""Categories to numbers: a column for each of a few values, else a code that an embedding looks up.

The number of columns and codes is the whole table's, so that members of a stack agree; which value has which place is
the training rows' alone. A value that they have not, and a gap where they had none, is unknown: no column is 1, or code
0, which all columns share.
A gap is a value of its own.
"""

from dataclasses import dataclass

import numpy as np

from src.data.table import Column

ONE_HOT = 9  # values up to which each has a column
MOST = 10_000  # values that an embedding holds; the rarest of more are unknown


def columns_of(column: Column) -> int:
    """How many one-hot columns a category takes; 0 where it is embedded."""
    return len(column.values) + column.gaps if len(column.values) <= ONE_HOT else 0


def entries_of(column: Column) -> int:
    """How many codes its values and gaps have; 0 where it is one-hot."""
    return 0 if columns_of(column) else min(len(column.values), MOST) + 1


@dataclass(frozen=True)
class Category:
    """The values of one column.

    Args:
        values: that the training rows have, in alphabetical order.
        columns, entries: as the functions above say of the whole table; one of them is 0.
        first: of its codes.
        gap: whether the training rows have gaps.
    """

    values: list[str]
    columns: int
    entries: int
    first: int
    gap: bool

    @classmethod
    def fit(cls, column: Column, codes: np.ndarray, first: int) -> "Category":
        """What the training rows hold: places in ``column.values``, NaN for a gap, (rows,)."""
        gap = np.isnan(codes)
        count = np.bincount(codes[~gap].astype(np.int64), minlength=len(column.values))
        known = np.flatnonzero(count)
        if len(known) > MOST:
            known = np.sort(known[np.argsort(-count[known], kind="stable")[:MOST]])
        return cls([column.values[i] for i in known], columns_of(column), entries_of(column), first, bool(gap.any()))

    def lookup(self, column: Column) -> np.ndarray:
        """By places in another table's values, places in these; -1 for unknown ones, (values,)."""
        places = {value: place for place, value in enumerate(self.values)}
        return np.array([places.get(value, -1) for value in column.values], np.float64)

    def one_hot(self, places: np.ndarray) -> np.ndarray:
        """Places (rows,), -1 where unknown and NaN where there is a gap, as (rows, columns)."""
        last = self.columns - 1 if self.gap else -1
        code = np.where(np.isnan(places), last, places).astype(np.int64)
        return np.eye(self.columns + 1, self.columns).take(code, axis=0)  # -1 is the last, of zeros

    def codes(self, places: np.ndarray) -> np.ndarray:
        """The same as codes of an embedding (rows,): 0 where unknown, the gap's, then the values'."""
        gap = self.first if self.gap else 0
        return np.where(np.isnan(places), gap, np.where(places < 0, 0, places + self.first + 1))
