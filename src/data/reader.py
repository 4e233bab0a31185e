"""Numeric columns of a CSV file: parsed by Arrow, and explained by Python's csv module where that fails."""

import csv
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from src.errors import UserError, nearest

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.csv import ConvertOptions

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


def read_columns(path: Path, columns: list[str], dtype: DTypeLike, fits: DTypeLike | None = None) -> np.ndarray:
    """The named columns of a CSV file as a matrix (rows, columns).

    The file is read a segment at a time, each parsed by one of as many threads as there are processors, and
    only its numbers are kept: peak memory is the matrix and a few segments. A newline inside quotes ends no row,
    so a file that has a quote below its header is read from front to back instead.

    Args:
        path: the file.
        columns: by name.
        dtype: of the matrix.
        fits: the type whose largest number is the largest allowed; None is ``dtype``.

    Raises:
        UserError: a column is missing (the nearest name is offered), or a cell is empty, text, NaN,
            infinite or too large (its row and column are named).
    """
    return _checked(path, columns, 0, dtype, dtype if fits is None else fits).numbers


def read_rows(path: Path, features: list[str], target: str, dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """The named features (rows, features) and the target (rows,) as ``read_columns`` reads them.

    The target is float64, and so are the features where rounding to ``dtype`` takes more than a millionth of a
    column's range: what lies far from zero would lose the digits that are left when its mean is taken off.

    Raises:
        UserError: as ``read_columns``.
    """
    rows = _checked(path, [*features, target], 1, dtype, dtype)
    if rows.rounds_too_much():
        rows = _checked(path, [*features, target], 1, np.float64, dtype)
    return rows.numbers, rows.exact[:, 0]


@dataclass
class _Rows:
    """Numbers of some rows, the last columns exact, and per column what has to be known of all rows.

    ``numbers`` is (rows, columns) in the type that was asked for, ``exact`` (rows, further columns) float64. Of the
    columns of both, ``low`` and ``high`` bound the values, and ``rounding`` is what the type took from one at most.
    """

    numbers: np.ndarray
    exact: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounding: np.ndarray

    @classmethod
    def empty(cls, rows: int, width: int, exact: int, dtype: DTypeLike) -> "_Rows":
        """Room for so many rows of ``width`` columns and ``exact`` further ones."""
        columns = width + exact
        bounds = np.full(columns, np.inf), np.full(columns, -np.inf), np.zeros(columns)
        return cls(np.empty((rows, width), dtype), np.empty((rows, exact)), *bounds)

    def rounds_too_much(self) -> bool:
        """Whether a column's digits are lost beside its range."""
        return bool((self.rounding > 1e-6 * (self.high - self.low))[self.high > self.low].any())

    def fit_into(self, dtype: DTypeLike) -> bool:
        """Whether all are finite and none is larger than the type's largest."""
        return bool((np.maximum(-self.low, self.high) <= np.finfo(np.dtype(dtype)).max).all())

    def widen(self, other: "_Rows") -> None:
        """Lets the bounds cover those of other rows; what is not a number stays so."""
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)
        np.maximum(self.rounding, other.rounding, out=self.rounding)


def _checked(path: Path, columns: list[str], exact: int, dtype: DTypeLike, fits: DTypeLike) -> _Rows:
    """All rows, of which each number ``fits``; the last ``exact`` columns apart."""
    header = read_header(path)
    for name in columns:
        if name not in header:
            raise UserError(f"{path}: has no column {name!r}{nearest(name, header)}")
    import pyarrow as pa

    try:
        rows = _read(path, header, _Wanted(columns, exact, dtype))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserError(_explain(path, columns, fits) or f"{path}: {str(error).splitlines()[0]}") from None
    if not len(rows.numbers):
        raise UserError(f"{path}: has a header but no rows")
    if not rows.fit_into(fits):
        raise UserError(_explain(path, columns, fits) or f"{path}: holds a number too large for {np.dtype(fits)}")
    return rows


@dataclass(frozen=True)
class _Wanted:
    """The columns to read, the last ``exact`` of them as float64 whatever ``dtype`` the others get."""

    columns: list[str]
    exact: int
    dtype: DTypeLike

    def room(self, rows: int) -> _Rows:
        """For so many rows."""
        return _Rows.empty(rows, len(self.columns) - self.exact, self.exact, self.dtype)


# How many blocks such as this are still to come, itself included, and its rows.
Block = tuple[float, _Rows]


class _NotByLines(Exception):
    """A row may hold newlines, or ends without one, so the file cannot be cut where they stand."""


def _read(path: Path, header: list[str], wanted: _Wanted) -> _Rows:
    """The rows, whatever numbers it holds.

    Raises:
        ArrowInvalid: a cell is not a number, or a line has too few or too many.
    """
    import pyarrow as pa

    first, last = _after_header(path), path.stat().st_size
    if first == last:
        return wanted.room(0)
    try:
        return _filled(_in_segments(path, first, last, header, wanted), wanted)
    except _NotByLines:
        size = _SEGMENT
    while True:
        try:
            return _filled(_in_one_go(path, first, last, size, header, wanted), wanted)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size > last - first:
                raise
            size *= 8  # a row is longer than Arrow's blocks


def _filled(blocks: Iterable[Block], wanted: _Wanted) -> _Rows:
    """The rows of all blocks as one."""
    whole, rows = wanted.room(0), 0
    for left, block in blocks:
        new = len(block.numbers)
        whole.numbers = _with_room(whole.numbers, rows, new, left)
        whole.exact = _with_room(whole.exact, rows, new, left)
        whole.numbers[rows : rows + new] = block.numbers
        whole.exact[rows : rows + new] = block.exact
        whole.widen(block)
        rows += new
    whole.numbers, whole.exact = whole.numbers[:rows], whole.exact[:rows]
    return whole


def _in_segments(path: Path, first: int, last: int, header: list[str], wanted: _Wanted) -> Iterator[Block]:
    """The rows of bytes ``first`` to ``last``, cut at newlines and parsed by all processors.

    Raises:
        _NotByLines: a quote stands among them, or lines end in carriage returns alone.
        ArrowInvalid: as above.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    workers = min(pa.cpu_count(), (last - first) // _WORTH_A_THREAD + 1)
    rounds = -(-(last - first) // (workers * _SEGMENT)) or 1
    size = (last - first) // (rounds * workers) + 1  # every thread parses as much
    options = _conversion(wanted.columns)
    reading = arrow.ReadOptions(column_names=header, use_threads=False, block_size=2 * size)
    memory = pa.system_memory_pool()  # Arrow's own keeps what it once had

    def parse(start: int) -> _Rows:
        lines = _lines_of(path, start, start + size)
        if not bytes(lines[:100]).strip() and not bytes(lines).strip():  # an error to Arrow
            return wanted.room(0)
        parsed = arrow.read_csv(pa.BufferReader(lines), reading, convert_options=options, memory_pool=memory)
        return _numbers(parsed.to_batches(), parsed.num_rows, wanted)

    with ThreadPoolExecutor(workers) as pool:
        for start, block in _in_order(pool, parse, range(first, last, size), 2 * workers):
            yield (last - start) / size, block


def _in_one_go(path: Path, first: int, last: int, size: int, header: list[str], wanted: _Wanted) -> Iterator[Block]:
    """The same from front to back, ``size`` bytes at a time, where Arrow finds the ends of rows.

    Raises:
        ArrowInvalid: as above, or a row is longer than ``size``.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    with path.open("rb") as file:
        file.seek(first)
        batches = arrow.open_csv(
            file,
            arrow.ReadOptions(column_names=header, block_size=size),
            arrow.ParseOptions(newlines_in_values=True),
            _conversion(wanted.columns),
            pa.system_memory_pool(),
        )
        for number, batch in enumerate(batches):
            yield max((last - first) / size - number, 1), _numbers([batch], batch.num_rows, wanted)


def _conversion(columns: list[str]) -> "ConvertOptions":
    import pyarrow as pa
    from pyarrow import csv as arrow

    return arrow.ConvertOptions(
        include_columns=columns,
        # float64 also for float32 runs: Arrow parses it faster, and the cast rounds correctly.
        column_types=dict.fromkeys(columns, pa.float64()),
        null_values=[],
        strings_can_be_null=False,
    )


def _numbers(batches: "Iterable[RecordBatch]", rows: int, wanted: _Wanted) -> _Rows:
    """What Arrow parsed."""
    block, row, width = wanted.room(rows), 0, len(wanted.columns) - wanted.exact
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is reported
        for batch in batches:
            if not batch.num_rows:
                continue
            place = slice(row, row + batch.num_rows)
            row += batch.num_rows
            for index, column in enumerate(batch.columns):
                values = np.from_dlpack(column)  # to_numpy() would import pandas
                block.low[index] = np.minimum(block.low[index], values.min())
                block.high[index] = np.maximum(block.high[index], values.max())
                if index >= width:
                    block.exact[place, index - width] = values
                    continue
                block.numbers[place, index] = values
                if block.numbers.dtype != values.dtype:
                    lost = values - block.numbers[place, index]
                    block.rounding[index] = max(block.rounding[index], lost.max(), -lost.min())
    return block


def _in_order(
    pool: ThreadPoolExecutor, parse: Callable[[int], _Rows], starts: Iterable[int], ahead: int
) -> Iterator[tuple[int, _Rows]]:
    """Each start with its block, while at most ``ahead`` others are in work."""
    waiting: deque[tuple[int, Future[_Rows]]] = deque()
    for start in starts:
        waiting.append((start, pool.submit(parse, start)))
        if len(waiting) > ahead:
            first, block = waiting.popleft()
            yield first, block.result()
    for start, block in waiting:
        yield start, block.result()


def _after_header(path: Path) -> int:
    """The byte at which the first line after the header begins; a quoted name may hold newlines."""
    with path.open("rb") as raw:
        read = 3 if raw.read(3) == b"\xef\xbb\xbf" else 0

    def lines(file: Iterable[str]) -> Iterator[str]:
        nonlocal read
        for line in file:
            read += len(line.encode())
            yield line

    with path.open(encoding="utf-8-sig", newline="") as file:
        next(cells for cells in csv.reader(lines(file)) if cells)
    return read


def _lines_of(path: Path, start: int, stop: int) -> memoryview:
    """The lines that begin in [start, stop), a byte range after the header.

    Raises:
        _NotByLines: as ``_in_segments``.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(start - 1)
        text = file.read(stop - start + 1)
        begin = text.find(b"\n", 0, stop - start) + 1
        if not begin and b'"' not in text:
            return memoryview(b"")
        while not text.endswith(b"\n") and (more := file.read(1 << 12)):
            end = more.find(b"\n") + 1
            text += more[:end] if end else more
    if b'"' in text or (b"\r" in text and b"\n" not in text):
        raise _NotByLines
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
