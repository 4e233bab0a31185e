"""Numeric columns of a CSV file: parsed by Arrow, and explained by Python's csv module where that fails."""

import csv
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError, first_line, nearest

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.csv import ReadOptions

_PIECE = 1 << 19  # bytes of text that a thread parses at a time: much beside starting, little beside a large matrix


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
        _, header = next(_lines(path), (0, None))
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


def read_columns(path: Path, columns: list[str], fits: DTypeLike) -> np.ndarray:
    """The named columns of a CSV file, float64 (rows, columns).

    Raises:
        UserError: a column is missing (the nearest name is offered), or a cell is empty, text, NaN, infinite or
            larger than ``fits`` holds (its row and column are named).
    """
    return np.concatenate(list(_blocks(path, columns, fits)), axis=1).T


def read_rows(path: Path, features: list[str], target: str, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """The named features (rows, features) and the target (rows,) as ``read_columns`` reads them.

    The target is float64, and so are the features where rounding to ``dtype`` takes more than a millionth of a
    column's range: what lies far from zero would lose the digits that are left when its mean is taken off.

    Raises:
        UserError: as ``read_columns``.
    """
    width = len(features)
    numbers, wanted = np.empty((0, width), dtype), np.empty(0)
    low, high, rounding = np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width)
    for block in _blocks(path, [*features, target], dtype):
        exact, rounded = block[:-1], block[:-1].astype(dtype)
        first, rows = len(wanted), len(wanted) + block.shape[1]
        numbers.resize((rows, width), refcheck=False)  # the kernel moves pages, so no table is there twice
        wanted.resize(rows, refcheck=False)
        numbers[first:], wanted[first:] = rounded.T, block[-1]
        low, high = np.minimum(low, exact.min(axis=1)), np.maximum(high, exact.max(axis=1))
        rounding = np.maximum(rounding, np.abs(exact - rounded).max(axis=1))
    if (rounding > 1e-6 * (high - low))[high > low].any():
        return read_rows(path, features, target, np.float64)
    return numbers, wanted


def _blocks(path: Path, columns: list[str], fits: DTypeLike) -> Iterator[np.ndarray]:
    """The rows of these columns from front to back, float64 (columns, some rows); raises as ``read_columns``."""
    header = read_header(path)
    for name in columns:
        if name not in header:
            raise UserError(f"{path}: has no column {name!r}{nearest(name, header)}")
    import pyarrow as pa

    size, done, largest = _PIECE, 0, np.finfo(np.dtype(fits)).max
    while True:
        row = 0
        try:
            for batch in _batches(path, header, columns, size):
                row += batch.num_rows
                if row <= done:
                    continue
                # to_numpy() would import pandas.
                block = np.stack([np.from_dlpack(column) for column in batch.columns])[:, done - row :]
                if not (np.abs(block) <= largest).all():
                    raise pa.ArrowInvalid(f"holds a number too large for {np.dtype(fits)}")
                done = row
                yield block
            break
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            if "block" not in str(error) or size > path.stat().st_size:
                raise UserError(_explain(path, columns, fits) or f"{path}: {first_line(error)}") from None
            size *= 8  # a row is longer than a block; those that have been read are passed over
    if not done:
        raise UserError(f"{path}: has a header but no rows")


def _batches(path: Path, header: list[str], columns: list[str], size: int) -> Iterator["RecordBatch"]:
    """What Arrow parses, by a thread for each processor; a quote, which may hold a newline, keeps it to one."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    conversion = arrow.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.float64()),
        null_values=[],
        strings_can_be_null=False,
    )
    memory = pa.system_memory_pool()  # Arrow's own keeps what it once had

    def reading(names: list[str] | None) -> "ReadOptions":
        # Without threads of Arrow's own: where torch is loaded as well, a process with them may abort when it ends.
        return arrow.ReadOptions(use_threads=False, column_names=names, block_size=2 * size)

    def parsed(text: bytes, names: list[str] | None) -> "list[RecordBatch]":
        source = pa.BufferReader(text)
        return arrow.read_csv(source, reading(names), convert_options=conversion, memory_pool=memory).to_batches()

    with path.open(encoding="utf-8-sig", newline="") as file:
        quotes = next(line for line in file if line.strip()).count('"')
    if sum(text.count(b'"') for text in _pieces(path, size)) > quotes:  # not in the header only
        yield from arrow.open_csv(path, reading(None), arrow.ParseOptions(newlines_in_values=True), conversion, memory)
        return
    workers = pa.cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[list[RecordBatch]]] = deque()
        for number, text in enumerate(_pieces(path, size)):
            waiting.append(pool.submit(parsed, text, header if number else None))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        for last in waiting:
            yield from last.result()


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    """The text, cut where lines end; no piece is blank."""
    with path.open("rb") as file:
        while text := file.read(size) + file.readline():
            if not text.isspace():
                yield text


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and cells of every line that is not blank.

    Raises:
        UserError: the file is no text, or no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            for cells in lines:
                if cells:
                    yield lines.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV table ({error})") from None
    except UnicodeDecodeError:
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"line {number}, byte {error.start + 1}: {line[error.start]:#04x}"
                raise UserError(f"{path}: is not UTF-8 text ({where})") from None
        raise UserError(f"{path}: is not UTF-8 text") from None


def _explain(path: Path, columns: list[str], fits: DTypeLike) -> str | None:
    """What stands in the first cell that is not a number which fits, and where.

    Raises:
        UserError: as ``_lines``.
    """
    largest = float(np.finfo(np.dtype(fits)).max)
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
                return f"{where}, column {name!r}: found {cell!r}, expected at most {largest:.3g} ({np.dtype(fits)})"
    return None
