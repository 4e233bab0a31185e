"""metrics.csv: figures of every epoch, written and read a column at a time."""

import csv
import io
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np


def append(path: Path, columns: Mapping[str, np.ndarray], sparse: Collection[str] = ()) -> None:
    """Adds rows in one write; a new file begins with the columns' names.

    Args:
        path: the file. Every call for it gives the same columns in the same order.
        columns: (rows,) each, by name; floats are written in the fewest digits that give the same number in the
            column's own precision.
        sparse: columns in which nan means that there is no figure: the cell stays empty. Elsewhere it is ``nan``.

    Raises:
        ValueError: the columns differ in length.
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
    names = list(columns)
    rows = pa.BufferOutputStream()
    pa_csv.write_csv(pa.Table.from_arrays(arrays, names), rows, pa_csv.WriteOptions(include_header=False))
    with path.open("ab", buffering=0) as file:
        head = b"" if file.tell() else _head(names)
        file.write(head + rows.getvalue().to_pybytes())


def read(path: Path) -> dict[str, list[float]]:
    """The columns by name; nan where a cell is empty. {} where there is no such file.

    Raises:
        ValueError: a cell is no number, or a row has more or fewer cells than there are names.
    """
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    if not path.is_file():
        return {}
    head, _, rows = path.read_bytes().partition(b"\n")
    names = next(csv.reader([head.decode()]), [])
    if not rows:
        return {name: [] for name in names}
    table = pa_csv.read_csv(
        pa.BufferReader(rows),
        pa_csv.ReadOptions(use_threads=False, column_names=names),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
    )
    nan = float("nan")
    return {
        name: [nan if value is None else value for value in column.to_pylist()]
        for name, column in zip(names, table.columns, strict=True)
    }


def _head(names: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(names)
    return text.getvalue().encode()
