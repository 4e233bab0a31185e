"""TensorBoard's event file, written record by record.

``SummaryWriter`` starts a thread and queues each value, about ten times the cost of the records
themselves; a thousand small runs notice.
"""

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventFile:
    """An events.out.tfevents file in ``folder``; every call is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = (folder / name).open("ab")
        self._records = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, rows: Iterable[tuple[int, dict[str, float]]]) -> None:
        """One record per (step, figures)."""
        now = time.time()
        for step, figures in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
            self._records.write(Event(wall_time=now, step=step, summary=Summary(value=values)).SerializeToString())
        self._file.flush()

    def image(self, tag: str, png: bytes, step: int) -> None:
        """A PNG picture, as it is."""
        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
        picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._write(
            Event(
                wall_time=time.time(),
                step=step,
                summary=Summary(value=[Summary.Value(tag=tag, image=picture)]),
            )
        )

    def hparams(self, parameters: dict[str, Any], metrics: dict[str, float]) -> None:
        """The HPARAMS tab: what was set and what came out."""
        from torch.utils.tensorboard.summary import hparams

        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in parameters.items()}
        for summary in hparams(plain, metrics):
            self._write(Event(wall_time=time.time(), summary=summary))
        self.scalars([(0, metrics)])

    def graph(self, net: Any, features: Any) -> None:
        """The Graphs tab: the net's operations on an example input."""
        import warnings

        from torch.utils.tensorboard._pytorch_graph import graph

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, and still all that TensorBoard reads
            definition, _ = graph(net, features)
        self._write(Event(wall_time=time.time(), graph_def=definition.SerializeToString()))

    def close(self) -> None:
        """No more records."""
        self._records.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._file.flush()
