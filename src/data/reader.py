"""Numeric columns of a CSV file: parsed by Arrow, and explained by Python's csv module where that fails."""

import csv
import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError, nearest

_SEGMENT = 2 << 20  # bytes of text in memory at a time: quick enough, and small beside the matrix
_BLOCK = 1 << 19  # bytes that one of Arrow's threads parses at a time


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
    except UnicodeDecodeError:
        raise UserError(_not_text(path)) from None
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV table ({error})") from None
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
    doubles = sorted({name for name in header if header.count(name) > 1})
    if doubles:
        raise UserError(f"{path}: column {doubles[0]!r} stands {header.count(doubles[0])} times, expected once")
    return header


def read_columns(path: Path, columns: list[str], dtype: DTypeLike) -> tuple[np.ndarray, str]:
    """The named columns of a CSV file as a matrix (rows, columns), and the SHA-256 of the file's bytes.

    The file is read once, a segment at a time: while Arrow's threads parse one, it is hashed as well, and
    only its numbers are kept. Peak memory is the matrix and a few segments.

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

    options = arrow.ConvertOptions(
        include_columns=columns,
        # float64 also for float32 runs: Arrow parses it faster, and the cast rounds correctly.
        column_types=dict.fromkeys(columns, pa.float64()),
        null_values=[],
        strings_can_be_null=False,
    )
    reading = arrow.ReadOptions(column_names=header, block_size=_BLOCK)
    pool = pa.system_memory_pool()  # Arrow's own keeps what it once had
    digest = hashlib.sha256()
    matrix = np.empty((0, len(columns)), dtype)
    rows = 0
    try:
        with path.open("rb") as file, ThreadPoolExecutor(1) as hasher:
            digest.update(_skip_header(file))
            left = path.stat().st_size - file.tell()
            for segment in _segments(file):
                hashed = hasher.submit(digest.update, segment)
                parsed = arrow.read_csv(
                    pa.BufferReader(segment),
                    reading,
                    convert_options=options,
                    memory_pool=pool,
                )
                matrix = _with_room(matrix, rows, parsed.num_rows, left / len(segment))
                for batch in parsed.to_batches():
                    _fill(matrix[rows : rows + batch.num_rows], batch)
                    rows += batch.num_rows
                left -= len(segment)
                hashed.result()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(_explain(path, columns, dtype) or f"{path}: {str(error).splitlines()[0]}") from None
    pool.release_unused()
    matrix = matrix[:rows]
    if not rows:
        raise UserError(f"{path}: has a header but no rows")
    if not np.isfinite(matrix.sum()) and not np.isfinite(matrix).all():
        raise UserError(_explain(path, columns, dtype) or f"{path}: holds a number too large for {np.dtype(dtype)}")
    return matrix, digest.hexdigest()


def _skip_header(file: BinaryIO) -> bytes:
    """Everything up to the end of the header line."""
    skipped = line = file.readline()
    while line and not line.removeprefix(b"\xef\xbb\xbf").strip():
        line = file.readline()
        skipped += line
    return skipped


def _segments(file: BinaryIO) -> Iterator[bytes]:
    """The rest of the file in pieces that end with a line; pieces of blank lines only are left out."""
    rest = b""
    while chunk := file.read(_SEGMENT):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
    if rest:
        yield rest


def _with_room(matrix: np.ndarray, rows: int, new: int, segments: float) -> np.ndarray:
    """``matrix`` with room for ``new`` rows, and for as many in each of the segments that are left.

    What is reserved and never written costs no memory.
    """
    if rows + new <= len(matrix):
        return matrix
    larger = np.empty((rows + max(new, int(new * segments * 1.02)), matrix.shape[1]), matrix.dtype)
    larger[:rows] = matrix[:rows]
    return larger


def _fill(block: np.ndarray, batch: Any) -> None:
    """Writes an Arrow record batch into (rows, columns)."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is reported
        for index, column in enumerate(batch.columns):
            block[:, index] = np.from_dlpack(column)  # to_numpy() would import pandas


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and cells of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        for cells in lines:
            if cells:
                yield lines.line_num, cells


def _not_text(path: Path) -> str:
    """Where a file stops being UTF-8 text."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"{path}: is not UTF-8 text (line {number}, byte {error.start + 1}: {line[error.start]:#04x})"
    return f"{path}: is not UTF-8 text"


def _explain(path: Path, columns: list[str], dtype: DTypeLike) -> str | None:
    """What stands in the first cell that is not a number which fits, and where."""
    largest = float(np.finfo(np.dtype(dtype)).max)
    try:
        lines = _lines(path)
        _, header = next(lines)
        for row, (line, cells) in enumerate(lines, start=1):
            where = f"{path}: row {row} (line {line})"
            if len(cells) != len(header):
                return f"{where}: cells expected as in the header: {len(header)}, found {len(cells)}"
            for name in columns:
                cell = cells[header.index(name)]
                try:
                    number = float(cell)
                except ValueError:
                    found = f"the text {cell!r}" if cell.strip() else "an empty cell"
                    return f"{where}, column {name!r}: found {found}, expected a number"
                if not math.isfinite(number):
                    return f"{where}, column {name!r}: found {cell!r}, expected a finite number"
                if abs(number) > largest:
                    return (
                        f"{where}, column {name!r}: found {cell!r}, expected at most {largest:.3g} ({np.dtype(dtype)})"
                    )
    except UnicodeDecodeError:
        return _not_text(path)
    except csv.Error as error:
        return f"{path}: is not a CSV table ({error})"
    return None
