"""Dates to numbers: elapsed days, the year, and day of the year, weekday and hour as points on a circle."""

from functools import lru_cache

import numpy as np

from src.data.table import BOOLEAN, CATEGORY, DATE, MOMENT, NUMBER, Column

YEAR, WEEK = 365.2425, 7.0  # in days
DECIMALS = 9  # more than the float32 of a net has
_SPAN = 1 << 10  # days; the first and the last that are worked out together are multiples of it


def parts(kind: str) -> int:
    """How many numbers a date becomes."""
    return 8 if kind == MOMENT else 6


def encode(days: np.ndarray, kind: str) -> np.ndarray:
    """Days since 1970 (rows,) as (rows, parts): the first two still to be scaled; a gap stays one in each.

    On a circle the 31st of December lies beside the 1st of January, and Sunday beside Monday. Points on it are rounded:
    two Mondays are one value, which quantiles may part where the last bits differ.
    """
    if kind == MOMENT or not len(days):
        return _encode(days, kind)
    # Of whole days there are mostly fewer than rows: each is worked out once.
    gap = np.isnan(days)
    some = days[~gap]
    first, last = (some.min(), some.max()) if len(some) else (0.0, 0.0)
    if last - first >= len(days):
        return _encode(days, kind)
    start, stop = int(first) // _SPAN, int(last) // _SPAN + 1
    found = _calendar(start, stop).take(np.where(gap, -1, days - start * _SPAN).astype(np.int64), axis=1)
    found[0] = days
    return found.T


@lru_cache(maxsize=8)
def _calendar(start: int, stop: int) -> np.ndarray:
    """Every day between, and a gap behind, (parts, days): a table is looked at a few thousand rows at a time."""
    days = np.arange(start * _SPAN, stop * _SPAN, dtype=np.float64)
    return np.ascontiguousarray(_encode(np.append(days, np.nan), DATE).T)


def _encode(days: np.ndarray, kind: str) -> np.ndarray:
    gap = np.isnan(days)
    whole = np.floor(np.where(gap, 0, days)).astype("datetime64[D]")
    year = whole.astype("datetime64[Y]")
    of_year = (whole - year).astype(float) / YEAR
    turns = [of_year, (whole.astype(float) + 3) / WEEK]  # the first day of 1970 was a Thursday
    if kind == MOMENT:
        turns.append(np.where(gap, 0, days) % 1)
    circles = (np.round(f(2 * np.pi * turn), DECIMALS) for turn in turns for f in (np.sin, np.cos))
    found = np.column_stack([days, year.astype(float) + 1970, *circles])
    found[gap] = np.nan
    return found


def numbers(raw: np.ndarray, columns: list[Column]) -> np.ndarray:
    """Numbers and booleans as they are, dates in parts: (rows, numbers), float64, in the order of the columns."""
    widths = [0 if each.kind == CATEGORY else width(each) for each in columns]
    # Column by column in memory: what follows treats each alike from top to bottom.
    found, done = np.empty((len(raw), sum(widths)), order="F"), 0
    for place, (column, own) in enumerate(zip(columns, widths, strict=True)):
        if column.kind in (NUMBER, BOOLEAN):
            found[:, done] = raw[:, place]
        elif own:
            found[:, done : done + own] = encode(raw[:, place].astype(np.float64), column.kind)
        done += own
    return found


def width(column: Column) -> int:
    """How many numbers a column becomes that is no category."""
    return 1 if column.kind in (NUMBER, BOOLEAN) else parts(column.kind)
