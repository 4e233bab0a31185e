"""Cells of CSV and Parquet files: parsed by Arrow, and explained by Python's csv module where that fails."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from src.adapters.memory import check_room
from src.data.arrow_csv import parsed_csv
from src.data.form import PACKED, Form, is_parquet, lines, number_pattern
from src.data.matrix import Matrix, is_for_disk
from src.data.parquet import numeric_batches, rows_of
from src.errors import UserError, first_line, nearest

if TYPE_CHECKING:
    from pyarrow import Table

_LOOK = 1 << 16  # cells that say which columns may be of numbers


class NoNumbers(Exception):
    """Some cell is no finite number that fits."""


class Source:
    """Files of one table, each with the same columns.

    Args:
        paths: of all.
        form: how they are written, as far as that is given.

    Raises:
        UserError: one cannot be read, is empty or no text, has no table, two columns of one name, or other columns
            than the first.
    """

    def __init__(self, paths: Sequence[Path], form: Form) -> None:
        self.paths = list(paths)
        self.forms = [form if is_parquet(path) else form.found(path) for path in paths]
        self._headers = [_header(path, form) for path, form in zip(self.paths, self.forms, strict=True)]
        self.names = self._headers[0]
        for path, header in zip(self.paths, self._headers, strict=True):
            if odd := sorted(set(header) ^ set(self.names)):
                raise UserError(f"{path}: its columns are not those of {self.paths[0]}: {odd[0]!r} is in one only")

    @property
    def marks(self) -> tuple[str, str]:
        """The decimal and the thousands mark."""
        return self.forms[0].decimal or ".", self.forms[0].thousands or ""

    def size(self, row: int) -> int:
        """About how many bytes its rows take in memory, one of which takes ``row``."""
        # What a CSV file spells takes more room than the numbers do; compressed it takes a tenth.
        return sum(
            rows_of(path) * row if is_parquet(path) else path.stat().st_size * (10 if path.suffix in PACKED else 1)
            for path in self.paths
        )

    def numbers(self, columns: list[str], fits: DTypeLike) -> Iterator[np.ndarray]:
        """The rows of these columns from front to back, float64 (columns, some rows).

        Raises:
            NoNumbers: a cell is empty, text, NaN, infinite or larger than ``fits`` holds.
            UserError: as ``check``.
        """
        import pyarrow as pa

        self.check(columns)
        if not is_parquet(self.paths[0]) and not self._numeric(()).issuperset(columns):
            raise NoNumbers  # at a glance, before half a megabyte a thread is parsed for it
        largest, rows = np.finfo(np.dtype(fits)).max, 0
        for path, form, header in zip(self.paths, self.forms, self._headers, strict=True):
            if form.thousands:
                raise NoNumbers
            try:
                for batch in (
                    numeric_batches(path, columns)
                    if is_parquet(path)
                    else parsed_csv(path, form, header, dict.fromkeys(columns, pa.float64()), ())
                ):
                    # to_numpy() would import pandas.
                    block = np.stack([np.from_dlpack(column) for column in batch.columns])
                    if not (np.abs(block) <= largest).all():
                        raise NoNumbers
                    rows += block.shape[1]
                    yield block
            except (pa.ArrowInvalid, pa.ArrowKeyError):
                raise NoNumbers from None
        if not rows:
            raise UserError(f"{self.paths[0]}: has a header but no rows")

    def cells(self, columns: list[str], numbers: Collection[str] = (), gaps: Sequence[str] = ()) -> "Table":
        """These columns as Arrow holds them: words of CSV files, the columns' own types of Parquet files.

        Args:
            numbers: columns that come as numbers, if all of those that begin with numbers and ``gaps`` go on so.

        Raises:
            UserError: as ``check``, or a line has other cells than the header, or is no text.
        """
        import pyarrow as pa

        self.check(columns)
        numeric = self._numeric(gaps) & set(numbers)
        try:
            found = [self._table(place, columns, numeric, gaps) for place in range(len(self.paths))]
        except pa.ArrowInvalid:
            found = [self._table(place, columns, set(), ()) for place in range(len(self.paths))]
        table = pa.concat_tables(found, promote_options="permissive").unify_dictionaries()
        if not table.num_rows:
            raise UserError(f"{self.paths[0]}: has a header but no rows")
        self._ends = np.cumsum([part.num_rows for part in found])
        return table

    def _table(self, place: int, columns: list[str], numeric: set[str], gaps: Sequence[str]) -> "Table":
        import pyarrow as pa

        path, form = self.paths[place], self.forms[place]
        if is_parquet(path):
            import pyarrow.parquet as parquet

            rows = rows_of(path)
            check_room(8 * rows * len(columns), f"{path}: of {rows:,} rows")
            return parquet.read_table(path, columns=columns, use_threads=False)
        words = pa.dictionary(pa.int32(), pa.string())
        kinds = {name: pa.float64() if name in numeric else words for name in columns}
        try:
            batches = list(parsed_csv(path, form, self._headers[place], kinds, gaps))
        except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
            if numeric:
                raise pa.ArrowInvalid(str(error)) from None
            raise UserError(ragged(path, form) or f"{path}: {first_line(error)}") from None
        return pa.Table.from_batches(batches, pa.schema(kinds))

    def _numeric(self, gaps: Sequence[str]) -> set[str]:
        """Columns of the first file that have nothing but numbers and gaps in its first rows."""
        path, form, header = self.paths[0], self.forms[0], self._headers[0]
        if is_parquet(path) or form.thousands:
            return set()
        pattern, known = number_pattern(form.decimal or ".", ""), set(gaps)
        rows = [cells for _, cells in islice(lines(path, form), 1, 2 + min(_LOOK // len(header), 100))]
        return {
            name
            for name, *cells in zip(header, *rows, strict=False)
            if all(cell in known or pattern.fullmatch(cell) for cell in cells)
        }

    def check(self, columns: Sequence[str]) -> None:
        """Holds names against the header.

        Raises:
            UserError: one is missing; the nearest is offered.
        """
        known = set(self.names)
        for name in columns:
            if name not in known:
                raise UserError(f"{self.paths[0]}: has no column {name!r}{nearest(name, self.names)}")

    def at(self, row: int, name: str) -> tuple[str, str]:
        """Where a row of ``cells``, counted from 0, stands in words, and what stands there in a column."""
        file = int(np.searchsorted(self._ends, row, side="right"))
        row -= int(self._ends[file - 1]) if file else 0
        path = self.paths[file]
        if is_parquet(path):
            return f"{path}: row {row + 1}", str(self._table(file, [name], set(), ())[name][row].as_py())
        line, cells = next(islice(lines(path, self.forms[file]), row + 1, None))
        return f"{path}: row {row + 1} (line {line})", cells[self._headers[file].index(name)]


def _header(path: Path, form: Form) -> list[str]:
    """The column names of a file."""
    if is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as parquet

        try:
            header: list[str] | None = parquet.read_schema(path).names
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: is not a Parquet file ({first_line(error)})") from None
    else:
        _, header = next(lines(path, form), (0, None))
    if not header:
        raise UserError(f"{path}: is empty, expected a header line and rows of numbers")
    if any("\0" in name for name in header):
        raise UserError(f"{path}: is not a CSV table (binary data in the header)")
    name, count = Counter(header).most_common(1)[0]
    if count > 1:
        raise UserError(f"{path}: column {name!r} stands {count} times, expected once")
    return header


def read_rows(
    source: Source, features: list[str], targets: list[str], dtype: DTypeLike
) -> tuple[np.ndarray, np.ndarray]:
    """The named features (rows, features) and targets (rows, targets) of a file of numbers.

    Targets are float64, and so are the features where rounding to ``dtype`` takes more than a millionth of a
    column's range: what lies far from zero would lose the digits that are left when its mean is taken off.

    Raises:
        NoNumbers, UserError: as ``Source.numbers``.
    """
    width = len(features)
    on_disk = is_for_disk(source.size(width * np.dtype(dtype).itemsize + 8 * len(targets)), source.paths[0])
    numbers, wanted = Matrix(width, dtype, on_disk), Matrix(len(targets), np.float64, on_disk)
    low, high, rounding = np.full(width, np.inf), np.full(width, -np.inf), np.zeros(width)
    for block in source.numbers([*features, *targets], dtype):
        exact, rounded = block[:width], block[:width].astype(dtype)
        numbers.add(rounded.T)
        wanted.add(block[width:].T)
        low, high = np.minimum(low, exact.min(axis=1)), np.maximum(high, exact.max(axis=1))
        rounding = np.maximum(rounding, np.abs(exact - rounded).max(axis=1))
    if (rounding > 1e-6 * (high - low))[high > low].any():
        return read_rows(source, features, targets, np.float64)
    return numbers.values(), wanted.values()


def ragged(path: Path, form: Form) -> str | None:
    """Which row has other cells than the header.

    Raises:
        UserError: as ``lines``.
    """
    rows = lines(path, form)
    _, header = next(rows)
    for row, (line, cells) in enumerate(rows, start=1):
        if len(cells) != len(header):
            where = f"{path}: row {row} (line {line})"
            return f"{where}: cells expected as in the header: {len(header)}, found {len(cells)}"
    return None
