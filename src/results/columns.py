"""metrics.csv of one of many runs, from arrays that hold them all."""

import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pyarrow import csv


def metrics_csv(columns: Mapping[str, np.ndarray], member: int, epochs: int, batches: int) -> bytes:
    """The file's bytes: the shortest digits that give the same numbers in the columns' own precision.

    Args:
        columns: figures (epochs, members).
        member: whose.
        epochs: how many of them it has.
        batches: optimizer steps of an epoch.
    """
    numbers = np.arange(1, epochs + 1)
    arrays = {"epoch": pa.array(numbers), "step": pa.array(numbers * batches)}
    for name, values in columns.items():
        # A validation figure that was not due stays empty.
        arrays[name] = pa.array(values[:epochs, member], from_pandas=name.startswith("val/"))
    sink = io.BytesIO()
    sink.write((",".join(arrays) + "\n").encode())
    csv.write_csv(pa.table(arrays), sink, csv.WriteOptions(include_header=False))
    return sink.getvalue()
