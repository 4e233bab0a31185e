"""Numeric columns of a CSV file: parsed by Arrow, and explained by Python's csv module where that fails."""

import csv
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError, nearest

_BLOCK = 4 << 20  # bytes of text parsed at a time: large enough to be quick, small beside the matrix


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file.

    Raises:
        UserError: the file is missing, a folder, empty, not UTF-8 text, has no table or two columns of one name.
    """
    if not path.exists():
        siblings = [p.name for p in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise UserError(f"{path}: no such file" + (nearest(path.name, siblings) if siblings else ""))
    if path.is_dir():
        raise UserError(f"{path}: is a folder, expected a CSV file")
    try:
        header = next((cells for _, cells in _lines(path)), None)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (byte {error.start} of the header)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if header is None:
        raise UserError(f"{path}: is empty, expected a header line and rows of numbers")
    if any("\0" in name for name in header):
        raise UserError(f"{path}: is not a CSV table (binary data in the header)")
    if len(header) == 1:
        other = next((d for d in (";", "\t", "|") if d in header[0]), None)
        if other:
            raise UserError(f"{path}: its columns are separated by {other!r}, expected ','")
        raise UserError(f"{path}: is not a table (one column, {header[0][:60]!r}), expected features and a target")
    doubles = sorted({name for name in header if header.count(name) > 1})
    if doubles:
        raise UserError(f"{path}: column {doubles[0]!r} stands {header.count(doubles[0])} times, expected once")
    return header


def read_columns(path: Path, columns: list[str], dtype: DTypeLike) -> np.ndarray:
    """The named columns of a CSV file as a matrix (rows, columns).

    Raises:
        UserError: a column is missing (the nearest name is offered), or a cell is empty, text, NaN or
            infinite (its row and column are named).
    """
    header = read_header(path)
    for name in columns:
        if name not in header:
            raise UserError(f"{path}: has no column {name!r}{nearest(name, header)}")
    import pyarrow as pa
    from pyarrow import csv as arrow

    kind = pa.float32() if np.dtype(dtype) == np.float32 else pa.float64()
    blocks: list[np.ndarray] = []
    try:
        reader = arrow.open_csv(
            path,
            read_options=arrow.ReadOptions(block_size=_BLOCK),
            convert_options=arrow.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, kind),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
        for batch in reader:
            block = np.empty((batch.num_rows, len(columns)), dtype)
            for index, column in enumerate(batch.columns):
                block[:, index] = column.to_numpy()
            blocks.append(block)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(_explain(path, columns) or f"{path}: {str(error).splitlines()[0]}") from None
    matrix = np.concatenate(blocks) if blocks else np.empty((0, len(columns)), dtype)
    if not len(matrix):
        raise UserError(f"{path}: has a header but no rows")
    if not np.isfinite(matrix.sum()) and not np.isfinite(matrix).all():
        raise UserError(_explain(path, columns) or f"{path}: holds a number too large for {np.dtype(dtype)}")
    return matrix


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and cells of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        for cells in lines:
            if cells:
                yield lines.line_num, cells


def _explain(path: Path, columns: list[str]) -> str | None:
    """What stands in the first cell that is not a finite number, and where."""
    try:
        lines = _lines(path)
        _, header = next(lines)
        for row, (line, cells) in enumerate(lines, start=1):
            where = f"{path}: row {row} (line {line})"
            if len(cells) != len(header):
                return f"{where} has {len(cells)} cells, expected {len(header)} as in the header"
            for name in columns:
                cell = cells[header.index(name)]
                try:
                    number = float(cell)
                except ValueError:
                    found = f"the text {cell!r}" if cell.strip() else "an empty cell"
                    return f"{where}, column {name!r}: found {found}, expected a number"
                if not math.isfinite(number):
                    return f"{where}, column {name!r}: found {cell!r}, expected a finite number"
    except UnicodeDecodeError as error:
        return f"{path}: is not UTF-8 text (byte {error.start} of a block: {error.object[error.start]:#04x})"
    except csv.Error as error:
        return f"{path}: is not a CSV table ({error})"
    return None
