"""metrics.csv: figures of every epoch, written and read a column at a time."""

import csv
import io
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from src.adapters.files import replace


def append(path: Path, columns: Mapping[str, np.ndarray], sparse: Collection[str] = ()) -> None:
    """Adds rows, all or none; a new file begins with the columns' names.

    Args:
        path: the file. Every call for it gives the same columns in the same order.
        columns: (rows,) each, by name; floats are written in the fewest digits that give the same number in the
            column's own precision.
        sparse: columns in which nan means that there is no figure: the cell stays empty. Elsewhere it is ``nan``.

    Raises:
        ValueError: the columns differ in length.
        OSError: the file cannot be written, and is as it was.
    """
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    arrays = []
    for name, column in columns.items():
        values = np.ascontiguousarray(column)
        # Arrow marks what is there by a bit each, the lowest first. pa.array would do it all, and import pandas.
        there = np.packbits(~np.isnan(values), bitorder="little") if name in sparse else None
        buffers = [None if there is None else pa.py_buffer(there), pa.py_buffer(values)]
        arrays.append(pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers))
    rows = pa.BufferOutputStream()
    pa_csv.write_csv(pa.Table.from_arrays(arrays, list(columns)), rows, pa_csv.WriteOptions(include_header=False))
    with path.open("ab", buffering=0) as file:
        head = io.StringIO()
        if not file.tell():
            csv.writer(head, lineterminator="\n").writerow(columns)
        _write(file, head.getvalue().encode() + rows.getvalue().to_pybytes())


def flush(path: Path) -> None:
    """Has the rows so far outlive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write(file: Any, data: bytes) -> None:
    start = file.tell()
    try:
        while data:
            data = data[file.write(data) :]  # a full disk takes a part first
    except OSError as error:
        with suppress(OSError):
            file.truncate(start)
        error.filename = file.name
        raise


def cut(path: Path, epochs: int) -> None:
    """Keeps the rows of the first ``epochs`` epochs: later ones are trained again, and the last may be torn."""
    if not path.is_file():
        return
    head, *rows = path.read_bytes().splitlines(keepends=True) or [b""]
    whole = [row for row in rows if row.endswith(b"\n") and row.partition(b",")[0].isdigit()]
    kept = [row for row in whole if int(row.partition(b",")[0]) <= epochs]
    if not kept:
        path.unlink()
    elif kept != rows:
        replace(path, head + b"".join(kept))


def read(path: Path) -> dict[str, list[float]]:
    """The columns by name; nan where a cell is empty. {} where there is no such file.

    Raises:
        ValueError: a cell is no number, or a row has more or fewer cells than there are names.
    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        names = next(lines, [])
        columns: dict[str, list[float]] = {name: [] for name in names}
        for cells in lines:
            try:
                for name, cell in zip(names, cells or [""], strict=True):
                    columns[name].append(float(cell or "nan"))
            except ValueError as error:
                raise ValueError(f"{path}: is not a CSV of numbers (line {lines.line_num}: {error})") from None
    return columns
