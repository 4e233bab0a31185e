"""A table's columns in words: what each was taken for, and what becomes of it."""

from collections.abc import Iterator

import numpy as np

from src.data.categories import columns_of
from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column, Table

_SHOWN = 40  # columns; of more the first are told
_COUNTED = 1 << 17  # rows up to which different numbers are counted in any case
_WIDTH = 24  # characters of a name or of a value


def described(table: Table) -> Iterator[str]:
    """A line for each column: name, kind, distinct values, gaps, range or most frequent values, and its use."""
    rows: list[tuple[str, ...]] = [("column", "kind", "distinct", "gaps", "range or most frequent", "becomes")]
    for place, column in enumerate(table.columns[:_SHOWN]):
        rows.append(_row(column, table.features[:, place]))
    for name, numbers in zip(table.target_names, table.target.T, strict=True):
        rows.append((*_row(Column(name), numbers)[:5], "the target" if len(table.target_names) == 1 else "a target"))
    for name, reason in list(table.left_out.items())[:_SHOWN]:
        rows.append((cut(name), "", "", "", "", f"left out: {reason}"))
    widths = [max(len(row[place]) for row in rows) for place in range(5)]
    for row in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
    hidden = max(len(table.columns) - _SHOWN, 0) + max(len(table.left_out) - _SHOWN, 0)
    if hidden:
        yield f"and {hidden} more columns"
    if table.dropped:
        yield f"{table.dropped} rows {'without' if len(table.target_names) == 1 else 'that lack'} a target are left out"


def _row(column: Column, numbers: np.ndarray) -> tuple[str, ...]:
    if column.kind == NUMBER and len(numbers) > _COUNTED:
        some = np.unique(numbers[:: len(numbers) // _COUNTED])
        if len(some) > _COUNTED // 2:  # to sort them all takes longer than to read them
            gaps = int(np.isnan(numbers).sum())
            span = f"{np.nanmin(numbers):.6g} to {np.nanmax(numbers):.6g}"
            return cut(column.name), column.kind, "many", str(gaps or ""), span, _use(column)
    gap = np.isnan(numbers)
    found, counts = np.unique(numbers[~gap], return_counts=True)
    if column.kind == CATEGORY:
        often = np.argsort(-counts, kind="stable")[:3]
        span = ", ".join(f"{cut(column.values[int(found[i])])} ({counts[i]})" for i in often)
    elif not len(found):
        span = ""
    elif column.kind in (NUMBER, BOOLEAN):
        span = f"{found[0]:.6g} to {found[-1]:.6g}"
    else:
        first, last = (np.datetime64(0, "D") + np.timedelta64(int(days), "D") for days in found[[0, -1]])
        span = f"{first} to {last}"
    return (
        cut(column.name),
        column.kind,
        str(len(found)),
        str(int(gap.sum())) if gap.any() else "",
        span,
        _use(column),
    )


def _use(column: Column) -> str:
    if column.kind == CATEGORY:
        width = columns_of(column)
        return f"{width} columns" if width else "an embedding"
    flag = ", a gap the median and a flag" if column.gaps else ""
    return ("a number" if column.kind in (NUMBER, BOOLEAN) else "parts of a date") + flag


def cut(text: str) -> str:
    """A name or a value in one line, no longer than a column of a table has room for."""
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
