"""TensorBoard's event file, written a curve at a time.

``SummaryWriter`` starts a thread and queues each value, which costs a thousand small runs more than their training.
Here a whole curve is one write.
"""

import os
import re
import socket
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary


class EventFile:
    """An events.out.tfevents file in ``folder``; every call is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = (folder / name).open("ab", buffering=0)
        self._write(file_version="brain.Event:2")

    def scalars(self, steps: np.ndarray, columns: Mapping[str, np.ndarray], sparse: Collection[str] = ()) -> None:
        """Points of curves, a record for each, in the order of ``steps``.

        Args:
            steps: (points,) whole numbers from 0. They rise: TensorBoard takes a step back for a restart and drops
                what it knew.
            columns: figures (points,) by tag; written in single precision, as all of TensorBoard's scalars.
            sparse: the columns in which nan means that the point has no such figure. Elsewhere it is written.
        """
        with np.errstate(over="ignore"):  # beyond single precision is inf
            values = np.array(list(columns.values()), np.float32).reshape(len(columns), len(steps)).T
        # Points with the same figures share an event, in which only numbers change: to make one costs most.
        events: dict[tuple[str, ...], tuple[Event, list[Any]]] = {}
        records = []
        for step, row in zip(steps.tolist(), values.tolist(), strict=True):
            due = {tag: value for tag, value in zip(columns, row, strict=True) if value == value or tag not in sparse}
            if not due:
                continue
            tags = tuple(due)
            if tags not in events:
                summary = Summary(value=[Summary.Value(tag=tag) for tag in tags])
                event = Event(wall_time=time.time(), summary=summary)
                events[tags] = event, list(event.summary.value)
            event, points = events[tags]
            event.step = step
            for point, value in zip(points, due.values(), strict=True):
                point.simple_value = value
            records.append(record(event.SerializeToString()))
        self._file.write(b"".join(records))

    def image(self, tag: str, png: bytes, step: int) -> None:
        """A PNG picture, as it is."""
        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
        picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=picture)]))

    def hparams(self, parameters: Mapping[str, Any]) -> None:
        """A line of the HPARAMS tab; what came out is any curve's last value.

        No description of the experiment is written: TensorBoard takes the first that it finds for that of all runs,
        where without one it compares them, lists what differs first and knows every run's parameters.

        Args:
            parameters: by name; what is neither number, bool nor text is written as text.
        """
        from torch.utils.tensorboard.summary import hparams

        plain = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in parameters.items()}
        _, *session = hparams(plain, {})
        for summary in session:
            self._write(summary=summary)

    def layout(self, charts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """The CUSTOM SCALARS tab: by category and chart, the tags of its curves."""
        from torch.utils.tensorboard.summary import custom_scalars

        exact = {
            category: {title: ["Multiline", [f"^{re.escape(tag)}$" for tag in tags]] for title, tags in own.items()}
            for category, own in charts.items()
        }
        self._write(summary=custom_scalars(exact))

    def graph(self, net: Any, features: Any) -> None:
        """The Graphs tab: the net's operations on an example input, ``features`` (rows, features)."""
        import torch
        from tensorboard.compat.proto.graph_pb2 import GraphDef
        from tensorboard.compat.proto.versions_pb2 import VersionDef
        from torch.utils.tensorboard._pytorch_graph import parse

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, and still all that TensorBoard reads
            # What torch's own function does, but for a check of the trace, which imports distributed tensors and SymPy.
            trace = torch.jit.trace(net, features, check_trace=False)
        torch._C._jit_pass_inline(trace.graph)
        definition = GraphDef(node=parse(trace.graph, trace, features), versions=VersionDef(producer=22))
        self._write(graph_def=definition.SerializeToString())

    def close(self) -> None:
        """No more records."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        self._file.write(record(Event(wall_time=time.time(), **fields).SerializeToString()))


def record(data: bytes) -> bytes:
    """A record of a TFRecord file: length and data, each with its checksum, all little-endian."""
    length = len(data).to_bytes(8, "little")
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, rotated by 15 bits and shifted by a constant."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF).to_bytes(4, "little")
