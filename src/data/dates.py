"""Dates to numbers: elapsed days, the year, and day of the year, weekday and hour as points on a circle."""

import numpy as np

from src.data.table import BOOLEAN, CATEGORY, MOMENT, NUMBER, Column

YEAR, WEEK = 365.2425, 7.0  # in days
DECIMALS = 9  # more than the float32 of a net has


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
    known = np.append(np.arange(first, last + 1), np.nan)
    return _encode(known, kind)[np.where(gap, -1, days - first).astype(np.int64)]


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
    """Numbers and booleans as they are, dates in parts: (rows, numbers), in the order of the columns."""
    parts = []
    for place, column in enumerate(columns):
        if column.kind in (NUMBER, BOOLEAN):
            parts.append(raw[:, place, None])
        elif column.kind != CATEGORY:
            parts.append(encode(raw[:, place].astype(np.float64), column.kind))
    return np.concatenate(parts, axis=1) if parts else raw[:, :0]
