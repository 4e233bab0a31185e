"""metrics.csv of many runs, from arrays that hold them all."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv


class MetricsFiles:
    """The files of runs that were trained together.

    Args:
        columns: figures (runs, epochs) by name.
        batches: optimizer steps of an epoch.
    """

    def __init__(self, columns: Mapping[str, np.ndarray], batches: int) -> None:
        self._columns = {name: np.ascontiguousarray(values) for name, values in columns.items()}
        numbers = np.arange(1, max((values.shape[1] for values in columns.values()), default=0) + 1)
        self._numbers = {"epoch": _array(numbers), "step": _array(numbers * batches)}
        self._head = (",".join([*self._numbers, *columns]) + "\n").encode()

    def file(self, run: int, epochs: int) -> bytes:
        """A run's file: the shortest digits that give the same numbers in the columns' own precision.

        Args:
            run: whose.
            epochs: how many of them it has.
        """
        arrays = {name: values[:epochs] for name, values in self._numbers.items()}
        for name, values in self._columns.items():
            array = _array(values[run, :epochs])
            # A validation figure that was not due stays empty.
            arrays[name] = pc.if_else(pc.is_nan(array), None, array) if name.startswith("val/") else array
        sink = pa.BufferOutputStream()
        sink.write(self._head)
        csv.write_csv(pa.table(arrays), sink, csv.WriteOptions(include_header=False))
        return sink.getvalue().to_pybytes()


def _array(values: np.ndarray) -> pa.Array:
    """An Arrow array over the same memory; ``pa.array`` would import pandas."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])
