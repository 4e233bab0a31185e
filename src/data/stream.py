"""New rows of columns that something was trained on, a piece at a time, so that a file may be larger than memory."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from src.data.arrow_csv import parsed_csv
from src.data.columns import GAPS, Cells
from src.data.form import is_parquet
from src.data.given import Given
from src.data.reader import Source, ragged
from src.data.sources import largest
from src.data.table import CATEGORY, DATE, MOMENT, Column
from src.errors import UserError, first_line

if TYPE_CHECKING:
    from pyarrow import Schema, Table

_BATCH = 1 << 14  # rows of a Parquet file that are read at a time
_CELLS = 1 << 19  # of a piece
# Of rows that are predicted together: in whole ones, so that a prediction is the same to the last bit wherever a
# piece ends.
_CHUNK = 1 << 11


class Piece(NamedTuple):
    """Some rows: all columns as they stand in the file, and those that were trained on as numbers (rows, features)."""

    cells: "Table"
    columns: list[Column]
    features: np.ndarray


class Stream(Source):
    """A ``Source`` that need not fit in memory."""

    def pieces(self, columns: list[str], rows: int) -> "Iterator[Table]":
        """These columns as they stand in the files, from front to back, so many rows at a time and fewer in the end.

        Raises:
            UserError: a column is missing, or a file cannot be read on from there.
        """
        import pyarrow as pa

        self.check(columns)
        self._ends = np.empty(0, np.int64)
        waiting: list[Table] = []
        done = there = 0
        for place in range(len(self.paths)):
            for part in self._parts(place, columns):
                waiting.append(part)
                there += part.num_rows
                while there >= rows:
                    table = pa.concat_tables(waiting)
                    yield table.slice(0, rows)
                    waiting, there, done = [table.slice(rows)], there - rows, done + rows
            self._ends = np.append(self._ends, done + there)
        if there:
            yield pa.concat_tables(waiting)
        elif not done:
            raise UserError(f"{self.paths[0]}: has a header but no rows")

    def _parts(self, place: int, columns: list[str]) -> "Iterator[Table]":
        """A file's rows as they are read, in the types that all files have in common."""
        import pyarrow as pa

        path, form = self.paths[place], self.forms[place]
        if not is_parquet(path):
            words = dict.fromkeys(columns, pa.string())
            try:
                for batch in parsed_csv(path, form, self._headers[place], words, ()):
                    yield pa.Table.from_batches([batch])
            except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError, OSError) as error:
                raise UserError(ragged(path, form) or f"{path}: {first_line(error)}") from None
            return
        import pyarrow.parquet as parquet

        schemas = [_plain(parquet.read_schema(each), columns) for each in self.paths]
        schema = pa.unify_schemas(schemas, promote_options="permissive")
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
                    yield pa.Table.from_batches([batch]).select(columns).cast(schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{path}: cannot be read ({first_line(error)})") from None


def _plain(schema: "Schema", columns: Sequence[str]) -> "Schema":
    """These columns, dictionaries as what they hold and words as one of the types that there are for them."""
    import pyarrow as pa

    def plain(kind: Any) -> Any:
        held = kind.value_type if pa.types.is_dictionary(kind) else kind
        return pa.string() if pa.types.is_large_string(held) or pa.types.is_string_view(held) else held

    return pa.schema([schema.field(name).with_type(plain(schema.field(name).type)) for name in columns])


def like(columns: Sequence[Column], source: Stream | Given, missing: Sequence[str], fits: DTypeLike) -> Iterator[Piece]:
    """The rows from front to back.

    Args:
        columns: that were trained on.
        source: has them, in any order, beside others.
        missing: words that mean a gap, besides the usual ones.
        fits: the precision that numbers have to fit.

    Raises:
        UserError: a column is missing, or a cell is of another kind or a gap where there was none in training; at the
            piece that it is in.
    """
    source.check([column.name for column in columns])
    reader = Cells((*GAPS, *missing), source.marks, largest(fits), source.at)
    rows = max(_CELLS // len(source.names) // _CHUNK, 1) * _CHUNK
    _look_at_dates(columns, source, reader, rows)
    first = 0
    for cells in source.pieces(source.names, rows):
        reader.at = lambda row, name, first=first: source.at(first + row, name)  # type: ignore[misc]  # its default has no type
        found = [reader.read(column.name, cells[column.name], column.kind) for column in columns]
        for column, (own, numbers) in zip(columns, found, strict=True):
            if own.gaps and not column.gaps and column.kind != CATEGORY:
                where, cell = reader.at(int(np.isnan(numbers).argmax()), own.name)
                said = f"{cell!r}, a gap" if cell.strip() else "an empty cell"
                raise UserError(f"{where}, column {own.name!r}: found {said}, expected a {column.kind}")
        yield Piece(cells, [own for own, _ in found], np.column_stack([numbers for _, numbers in found]))
        first += cells.num_rows


def _look_at_dates(columns: Sequence[Column], source: Stream | Given, reader: Cells, rows: int) -> None:
    """Finds out how dates are written: whether 1/2/2024 is in January may be decided by the last row."""
    import pyarrow as pa

    if dated := [column.name for column in columns if column.kind in (DATE, MOMENT)]:
        for cells in source.pieces(dated, rows):
            for name in dated:
                if pa.types.is_string(cells[name].type):
                    reader.narrow_dates(name, cells[name])
