"""What is about to be exported, held against the run's own predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column, Table, variances

_ROWS = 1 << 14  # at a time
ALTERED = 256  # rows that are checked once more with gaps and with words not met in training
_UNKNOWN = "(a word not met in training)"

Predict = Callable[[Sequence[Column], np.ndarray], np.ndarray]  # raw features as a table with such columns has them


def largest_difference(exported: Predict, own: Predict, table: Table, may_gap: Sequence[bool]) -> float:
    """The largest relative difference between two predictions, on a table's rows and on altered ones.

    It is the difference over the size of a row's prediction, or over the standard deviation of that target in the
    table, whichever is larger.

    Args:
        exported: what is checked.
        own: what it is held against.
        table: its rows are the run's.
        may_gap: of each column, whether the run has learned gaps in it.
    """
    spread = np.maximum(deviations(table), np.finfo(np.float64).tiny)
    return max(
        _difference(exported(columns, features), own(columns, features), spread)
        for columns, features in _rows(table, may_gap)
    )


def deviations(table: Table) -> np.ndarray:
    """The standard deviation of each target in a table's rows, (targets,)."""
    return np.sqrt(variances(table.target, None))


def _difference(found: np.ndarray, wanted: np.ndarray, spread: np.ndarray) -> float:
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(found - wanted) / np.maximum(np.abs(wanted), spread)
    return float(np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)).max())


def _rows(table: Table, may_gap: Sequence[bool]) -> Iterator[tuple[list[Column], np.ndarray]]:
    for start in range(0, len(table), _ROWS):
        yield table.columns, table.features[start : start + _ROWS]
    yield altered(table.columns, table.features[:ALTERED], may_gap)


def altered(
    columns: Sequence[Column], features: np.ndarray, may_gap: Sequence[bool]
) -> tuple[list[Column], np.ndarray]:
    """Rows with a gap in each fourth cell of a column that may have some, and an unknown word beside it."""
    columns, features = list(columns), features.copy()
    row = np.arange(len(features))
    for place, column in enumerate(columns):
        gap, unknown = row % 4 == place % 4, row % 4 == (place + 1) % 4
        if may_gap[place] or column.kind == CATEGORY:
            features[gap, place] = np.nan
        if column.kind == CATEGORY:
            columns[place] = replace(column, values=(*column.values, _UNKNOWN))
            features[unknown, place] = len(column.values)
    return columns, features


def cells(columns: Sequence[Column], features: np.ndarray) -> dict[str, np.ndarray]:
    """Raw features (rows, features) as the inputs (rows, 1) of an ONNX file: double, or strings."""
    return {column.name: _cells(column, features[:, place])[:, None] for place, column in enumerate(columns)}


def _cells(column: Column, numbers: np.ndarray) -> np.ndarray:
    numbers = numbers.astype(np.float64)
    if column.kind == NUMBER:
        return numbers
    gap = np.isnan(numbers)
    there = np.where(gap, 0, numbers)
    if column.kind in (BOOLEAN, CATEGORY):
        words = np.array([*(column.values if column.kind == CATEGORY else ("false", "true")), ""], object)
        return words[np.where(gap, len(words) - 1, there).astype(np.int64)]
    micros = np.round(there * 86_400e6).astype(np.int64).astype("datetime64[us]")
    return np.where(gap, "", np.datetime_as_string(micros, unit="auto")).astype(object)
