"""Numeric columns of a CSV file: parsed by Arrow, and explained by Python's csv module where that fails."""

import csv
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError, nearest

# Bytes of text that a thread parses at a time: large enough that starting is nothing beside it, small beside the
# matrix; and what is so little that a thread of its own does not pay.
_SEGMENT, _WORTH_A_THREAD = 1 << 20, 1 << 16


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


def read_columns(path: Path, columns: list[str], dtype: DTypeLike) -> np.ndarray:
    """The named columns of a CSV file as a matrix (rows, columns).

    The file is read a segment at a time, each parsed by one of as many threads as there are processors, and
    only its numbers are kept: peak memory is the matrix and a few segments.

    Raises:
        UserError: a column is missing (the nearest name is offered), or a cell is empty, text, NaN or
            infinite (its row and column are named).
    """
    header = read_header(path)
    for name in columns:
        if name not in header:
            raise UserError(f"{path}: has no column {name!r}{nearest(name, header)}")
    import pyarrow as pa

    first, last = _after_header(path), path.stat().st_size
    workers = min(pa.cpu_count(), (last - first) // _WORTH_A_THREAD + 1)
    rounds = -(-(last - first) // (workers * _SEGMENT)) or 1
    size = (last - first) // (rounds * workers) + 1  # every thread parses as much
    parse = _parser(path, size, header, columns, dtype)
    matrix = np.empty((0, len(columns)), dtype)
    rows = 0
    try:
        with ThreadPoolExecutor(workers) as pool:
            for start, block in _in_order(pool, parse, range(first, last, size), 2 * workers):
                matrix = _with_room(matrix, rows, len(block), (last - start) / size)
                matrix[rows : rows + len(block)] = block
                rows += len(block)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(_explain(path, columns, dtype) or f"{path}: {str(error).splitlines()[0]}") from None
    matrix = matrix[:rows]
    if not rows:
        raise UserError(f"{path}: has a header but no rows")
    if not np.isfinite(matrix.sum()) and not np.isfinite(matrix).all():
        raise UserError(_explain(path, columns, dtype) or f"{path}: holds a number too large for {np.dtype(dtype)}")
    return matrix


def _parser(
    path: Path, size: int, header: list[str], columns: list[str], dtype: DTypeLike
) -> Callable[[int], np.ndarray]:
    """Parses the lines that begin in the ``size`` bytes from a start into a matrix (rows, columns).

    Raises:
        ArrowInvalid: a cell is not a number, or a line has too few or too many.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    convert = arrow.ConvertOptions(
        include_columns=columns,
        # float64 also for float32 runs: Arrow parses it faster, and the cast rounds correctly.
        column_types=dict.fromkeys(columns, pa.float64()),
        null_values=[],
        strings_can_be_null=False,
    )
    reading = arrow.ReadOptions(column_names=header, use_threads=False, block_size=2 * size)
    pool = pa.system_memory_pool()  # Arrow's own keeps what it once had

    def parse(start: int) -> np.ndarray:
        lines = _lines_of(path, start, start + size)
        if not bytes(lines[:100]).strip() and not bytes(lines).strip():  # an error to Arrow
            return np.empty((0, len(columns)), dtype)
        parsed = arrow.read_csv(pa.BufferReader(lines), reading, convert_options=convert, memory_pool=pool)
        block = np.empty((parsed.num_rows, len(columns)), dtype)
        row = 0
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is reported
            for batch in parsed.to_batches():
                part = block[row : row + batch.num_rows]
                for index, column in enumerate(batch.columns):
                    part[:, index] = np.from_dlpack(column)  # to_numpy() would import pandas
                row += batch.num_rows
        return block

    return parse


def _in_order(
    pool: ThreadPoolExecutor, parse: Callable[[int], np.ndarray], starts: Iterable[int], ahead: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Each start with its block, while at most ``ahead`` others are in work."""
    waiting: deque[tuple[int, Future[np.ndarray]]] = deque()
    for start in starts:
        waiting.append((start, pool.submit(parse, start)))
        if len(waiting) > ahead:
            first, block = waiting.popleft()
            yield first, block.result()
    for start, block in waiting:
        yield start, block.result()


def _after_header(path: Path) -> int:
    """The byte at which the first line after the header begins."""
    with path.open("rb") as file:
        line = file.readline()
        while line and not line.removeprefix(b"\xef\xbb\xbf").strip():
            line = file.readline()
        return file.tell()


def _lines_of(path: Path, start: int, stop: int) -> memoryview:
    """The lines that begin in [start, stop), a byte range after the header."""
    with path.open("rb", buffering=0) as file:
        file.seek(start - 1)
        text = file.read(stop - start + 1)
        begin = text.find(b"\n", 0, stop - start) + 1
        if not begin:
            return memoryview(b"")
        while not text.endswith(b"\n") and (more := file.read(1 << 12)):
            end = more.find(b"\n") + 1
            text += more[:end] if end else more
    return memoryview(text)[begin:]


def _with_room(matrix: np.ndarray, rows: int, new: int, segments: float) -> np.ndarray:
    """``matrix`` with room for ``new`` rows, and for as many in each of the segments that are left.

    What is reserved and never written costs no memory.
    """
    if rows + new <= len(matrix):
        return matrix
    larger = np.empty((rows + max(new, int(new * segments * 1.02)), matrix.shape[1]), matrix.dtype)
    larger[:rows] = matrix[:rows]
    return larger


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
