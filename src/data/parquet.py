"""Numbers of Parquet files, some rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_ROWS = 1 << 16  # at a time


def rows_of(path: Path) -> int:
    """How many rows a file says that it has."""
    from pyarrow import parquet

    return parquet.read_metadata(path).num_rows


def numeric_batches(path: Path, columns: list[str]) -> "Iterator[RecordBatch]":
    """These columns, in this order, as float64; whoever takes one batch at a time holds one batch.

    Raises:
        ArrowInvalid: one of them is not of numbers or has a gap.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:  # which would hold on to the whole file
        kinds = {name: file.schema_arrow.field(name).type for name in columns}
        if not all(pa.types.is_floating(kind) or pa.types.is_integer(kind) for kind in kinds.values()):
            raise pa.ArrowInvalid("a column of something else")
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            if any(batch[name].null_count for name in columns):
                raise pa.ArrowInvalid("a gap")
            # Unsafe: beyond 2⁵³ a whole number is rounded, as it is in a CSV file.
            yield pa.RecordBatch.from_arrays(
                [compute.cast(batch[name], pa.float64(), safe=False) for name in columns], columns
            )
