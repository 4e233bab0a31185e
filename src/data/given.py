"""A table that is there already, of pandas or Arrow, in the place of files."""

import hashlib
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from src.data.reader import NoNumbers, Source
from src.errors import UserError, first_line, nearest

if TYPE_CHECKING:
    from pyarrow import Table


class Given(Source):
    """The rows of a table in memory.

    Args:
        rows: a pandas DataFrame, whose index is no column, or an Arrow table, or what hands itself over as one.

    Raises:
        UserError: it is no table, or has a column that Arrow has no type for or two of one name.
    """

    def __init__(self, rows: Any) -> None:
        self.table = _arrow(rows)
        self.names = self.table.column_names
        name, count = Counter(self.names).most_common(1)[0] if self.names else ("", 0)
        if count > 1:
            raise UserError(f"the table: column {name!r} stands {count} times, expected once")

    @property
    def marks(self) -> tuple[str, str]:
        """See ``Source``."""
        return ".", ""

    def numbers(self, columns: list[str], fits: DTypeLike) -> Iterator[np.ndarray]:
        """See ``Source``: columns have types of their own, which ``cells`` keeps."""
        raise NoNumbers

    def cells(self, columns: list[str], numbers: Collection[str] = (), gaps: Sequence[str] = ()) -> "Table":
        """See ``Source``."""
        self.check(columns)
        if not self.table.num_rows:
            raise UserError("the table: has no rows")
        return self.table.select(columns)

    def pieces(self, columns: list[str], rows: int) -> "Iterator[Table]":
        """These columns from front to back, so many rows at a time and fewer in the end.

        Raises:
            UserError: one is missing, or there are no rows.
        """
        table = self.cells(columns)
        return (table.slice(start, rows) for start in range(0, len(table), rows))

    def check(self, columns: Sequence[str]) -> None:
        """See ``Source``."""
        for name in columns:
            if name not in self.names:
                raise UserError(f"the table: has no column {name!r}{nearest(name, self.names)}")

    def at(self, row: int, name: str) -> tuple[str, str]:
        """See ``Source``."""
        cell = self.table[name][row].as_py()
        return f"the table: row {row + 1}", "" if cell is None else str(cell)

    def write(self, folder: Path) -> Path:
        """Writes the table as Parquet; the file's name tells its content.

        Raises:
            UserError: Parquet has no type for a column.
        """
        import pyarrow as pa
        import pyarrow.parquet as parquet

        buffer = pa.BufferOutputStream()
        try:
            parquet.write_table(self.table, buffer)
        except pa.ArrowException as error:
            raise UserError(f"the table: {first_line(error)}") from None
        content = buffer.getvalue()
        path = folder / f"table-{hashlib.sha256(content).hexdigest()[:8]}.parquet"
        path.write_bytes(content)
        return path


def _arrow(rows: Any) -> "Table":
    import pyarrow as pa

    pandas = sys.modules.get("pandas")
    try:
        if isinstance(rows, pa.Table):
            return rows
        if pandas and isinstance(rows, pandas.DataFrame):
            return pa.Table.from_pandas(rows, preserve_index=False)
        if hasattr(rows, "__arrow_c_stream__"):
            return pa.table(rows)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UserError(f"the table: {first_line(error)}") from None
    raise UserError(f"expected a pandas DataFrame or an Arrow table, found {type(rows).__name__}")
