"""TensorBoard's event file, written a curve at a time.

``SummaryWriter`` starts a thread and queues each value, which costs a thousand small runs more than their training.
Here the points of a curve become rows of an array: protobuf lays out one point, and the rest differ from it in the
bytes of the step and of the figures.
"""

import os
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

from src.results.tfrecord import framed

_STEP_BYTES = 5  # a step takes as many bytes in every point, so that all points are equally long
_STEP_AT = 10  # … behind its key and the wall time: Event's first field, a key and eight bytes


class EventFile:
    """An events.out.tfevents file in ``folder``; every call is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.0"
        self._file = (folder / name).open("ab", buffering=0)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, steps: np.ndarray, columns: Mapping[str, np.ndarray], sparse: Collection[str] = ()) -> None:
        """Points of curves, a record for each, in the order of ``steps``.

        Args:
            steps: (points,) whole numbers from 0 to below 2³⁵. They rise: TensorBoard takes a step back for a
                restart and drops what it knew.
            columns: figures (points,) by tag; written in single precision, as all of TensorBoard's scalars.
            sparse: the columns in which nan means that the point has no such figure. Elsewhere it is written.
        """
        tags = list(columns)
        with np.errstate(over="ignore"):  # beyond single precision is inf
            values = np.array([columns[tag] for tag in tags], "<f4").reshape(len(tags), len(steps)).T
        there = ~(np.isnan(values) & np.array([tag in sparse for tag in tags], bool))
        # Points with the same figures are laid out together; usually there are two kinds, with validation and without.
        kinds = [row.tobytes() for row in there]
        records = [b""] * len(steps)
        for kind in set(kinds):
            wanted = np.frombuffer(kind, bool)
            if not wanted.any():
                continue
            which = [place for place, each in enumerate(kinds) if each == kind]
            named = [tag for tag, is_there in zip(tags, wanted, strict=True) if is_there]
            data = framed(_points(steps[which], named, values[which][:, wanted]))
            for place, record in zip(which, data.view(f"V{data.shape[1]}").ravel().tolist(), strict=True):
                records[place] = record
        self._file.write(b"".join(records))

    def image(self, tag: str, png: bytes, step: int) -> None:
        """A PNG picture, as it is."""
        width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
        picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        summary = Summary(value=[Summary.Value(tag=tag, image=picture)])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def hparams(self, parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """The HPARAMS tab: what was set and what came out.

        Args:
            parameters: by name; what is neither number, bool nor text is written as text.
            metrics: final figures by tag; written as scalars of step 0, too.
        """
        for summary in hparams_summaries(parameters, metrics):
            self._write(Event(wall_time=time.time(), summary=summary))
        self.scalars(np.zeros(1, np.int64), {tag: np.array([value]) for tag, value in metrics.items()})

    def graph(self, net: Any, features: Any) -> None:
        """The Graphs tab: the net's operations on an example input, ``features`` (rows, features)."""
        import warnings

        from torch.utils.tensorboard._pytorch_graph import graph

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing is deprecated, and still all that TensorBoard reads
            definition, _ = graph(net, features)
        self._write(Event(wall_time=time.time(), graph_def=definition.SerializeToString()))

    def close(self) -> None:
        """No more records."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._file.write(framed(np.frombuffer(event.SerializeToString(), np.uint8)[None]).tobytes())


def hparams_summaries(parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> list[Summary]:
    """The three summaries of the HPARAMS tab: what there is, what was set, and that it ended.

    ``torch.utils.tensorboard.summary.hparams`` makes the same ones, and what it and the plugin's own names import
    takes longer than a small run.
    """
    from tensorboard.plugins.hparams.api_pb2 import (
        DATA_TYPE_FLOAT64,
        DATA_TYPE_STRING,
        STATUS_SUCCESS,
        Experiment,
        HParamInfo,
        MetricInfo,
        MetricName,
    )
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

    def summary(tag: str, content: HParamsPluginData) -> Summary:
        data = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
        return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=data))])

    start = SessionStartInfo()
    infos = []
    for name, value in parameters.items():
        if isinstance(value, bool | int | float):
            start.hparams[name].number_value = value
            infos.append(HParamInfo(name=name, type=DATA_TYPE_FLOAT64))
        else:
            start.hparams[name].string_value = str(value)
            infos.append(HParamInfo(name=name, type=DATA_TYPE_STRING))
    named = [MetricInfo(name=MetricName(tag=tag)) for tag in metrics]
    experiment = Experiment(hparam_infos=infos, metric_infos=named)
    return [
        summary("_hparams_/experiment", HParamsPluginData(experiment=experiment)),
        summary("_hparams_/session_start_info", HParamsPluginData(session_start_info=start)),
        summary(
            "_hparams_/session_end_info",
            HParamsPluginData(session_end_info=SessionEndInfo(status=STATUS_SUCCESS)),
        ),
    ]


def _points(steps: np.ndarray, tags: list[str], values: np.ndarray) -> np.ndarray:
    """Events of scalars.

    Args:
        steps: (points,).
        tags: names of the figures.
        values: (points, tags) float32, little-endian.

    Returns:
        (points, bytes) uint8, an Event in protobuf's wire format each.
    """
    figures = [Summary.Value(tag=tag, simple_value=0.0) for tag in tags]
    largest = (1 << 7 * _STEP_BYTES) - 1
    model = Event(wall_time=time.time(), step=largest, summary=Summary(value=figures)).SerializeToString()
    points = np.tile(np.frombuffer(model, np.uint8), (len(steps), 1))
    for place in range(_STEP_BYTES):
        # A varint: seven bits to a byte, the lowest first, and the eighth bit says that more follow.
        more = 0x80 if place < _STEP_BYTES - 1 else 0
        points[:, _STEP_AT + place] = ((steps >> (7 * place)) & 0x7F) | more
    # Fields stand in order, so the summary is last, and the last four bytes of each of its values are the number.
    end = len(model)
    for index in reversed(range(len(tags))):
        points[:, end - 4 : end] = np.ascontiguousarray(values[:, index]).view(np.uint8).reshape(-1, 4)
        end -= Summary(value=[figures[index]]).ByteSize()
    return points
