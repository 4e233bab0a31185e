"""The numbers of a table, which grow as a file is read: in memory, or on disk where they are too many for it."""

import shutil
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from src.adapters.memory import available
from src.errors import UserError

_SHARE = 0.4  # of free memory; what is made of the rows needs some as well
_ROWS = 1 << 16  # copied at a time


class Matrix:
    """A matrix to which rows are added.

    Args:
        width: of a row.
        dtype: of its numbers.
        on_disk: whether they go to a file without a name, which is gone with the matrix.
    """

    def __init__(self, width: int, dtype: DTypeLike, on_disk: bool) -> None:
        self._width, self._dtype = width, np.dtype(dtype)
        self._values = np.empty((0, width), dtype)
        self._file: IO[bytes] | None = tempfile.TemporaryFile() if on_disk else None  # noqa: SIM115  # mapped later

    def add(self, rows: np.ndarray) -> None:
        """More rows (rows, width)."""
        if self._file is not None:
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
            return
        first = len(self._values)
        self._values.resize((first + len(rows), self._width), refcheck=False)  # no table is there twice
        self._values[first:] = rows

    def values(self) -> np.ndarray:
        """All of them (rows, width)."""
        if self._file is None:
            return self._values
        self._file.flush()
        rows = self._file.tell() // (self._width * self._dtype.itemsize)
        if not rows:
            return self._values
        return np.memmap(self._file, self._dtype, "r", shape=(rows, self._width))


def kept(values: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Some columns of a matrix, where it was."""
    if not isinstance(values, np.memmap):
        return values.take(columns, axis=1)  # row by row in memory, where brackets would turn it
    found = Matrix(len(columns), values.dtype, True)
    for start in range(0, len(values), _ROWS):
        found.add(values[start : start + _ROWS, columns])
    return found.values()


def is_for_disk(needed: int, what: Any) -> bool:
    """Whether numbers are too many for memory.

    Args:
        needed: bytes, about.
        what: has them, in words.

    Raises:
        UserError: the disk, too, has no room for them.
    """
    if needed <= _SHARE * available():
        return False
    place = tempfile.gettempdir()
    if needed > (free := shutil.disk_usage(place).free):
        raise UserError(
            f"{what}: needs {needed / 2**30:,.3g} GiB, more than memory holds, and {place} has {free / 2**30:,.3g}; "
            "TMPDIR names another folder"
        )
    return True
