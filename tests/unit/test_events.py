"""An event file is read back by TensorBoard as what was written."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.adapters.tensorboard_events import EventFile, record

NAN = float("nan")


def read(folder: Path) -> EventAccumulator:
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def points(events: EventAccumulator, tag: str) -> tuple[list[int], list[float]]:
    found = events.Scalars(tag)
    return [point.step for point in found], [point.value for point in found]


def test_a_record_is_what_tensorboards_writer_makes_of_it(tmp_path: Path) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    data = [np.random.default_rng(length).bytes(length) for length in (0, 1, 4, 300, 1000)]
    with (tmp_path / "records").open("wb") as file:
        writer = RecordWriter(file)
        for each in data:
            writer.write(each)
        writer.flush()
    assert b"".join(map(record, data)) == (tmp_path / "records").read_bytes()


@pytest.mark.parametrize("largest", [100, 127, 128, 20_000, 2**35 - 1])
@pytest.mark.parametrize("tags", [1, 3, 8])
def test_every_point_is_read_back(tags: int, largest: int, tmp_path: Path) -> None:
    random = np.random.default_rng(tags)
    steps = np.linspace(0, largest, 100).astype(np.int64)
    # A tag longer than 127 bytes takes another byte for its length.
    columns = {f"train/{'ö' * 70 * (index % 2)}{index}": random.normal(size=100) for index in range(tags)}
    file = EventFile(tmp_path)
    file.scalars(steps, columns)
    file.close()
    events = read(tmp_path)
    assert set(events.Tags()["scalars"]) == set(columns)
    for tag, values in columns.items():
        assert points(events, tag) == (steps.tolist(), values.astype(np.float32).tolist())


def test_chunks_with_figures_that_are_seldom_due(tmp_path: Path) -> None:
    """A live run: nan says that a sparse figure was not due, and is a figure elsewhere; steps stay in order."""
    steps = np.arange(1, 11)
    due = np.where(steps % 5 == 0, steps / 10, NAN)
    loss = np.where(steps < 9, 1 / steps, NAN)
    columns = {"loss": loss, "val/mse": due, "val/r2": due * 2, "val/never": np.full(10, NAN)}
    file = EventFile(tmp_path)
    for start in (0, 4):
        chunk = slice(start, start + 4 if not start else None)
        file.scalars(
            steps[chunk], {name: values[chunk] for name, values in columns.items()}, ["val/mse", "val/r2", "val/never"]
        )
        assert len(points(read(tmp_path), "loss")[0]) == (4 if not start else 10), "not on disk"
    file.close()
    events = read(tmp_path)
    found = points(events, "loss")
    assert found[0] == list(range(1, 11))
    assert np.array_equal(np.array(found[1]), loss.astype(np.float32), equal_nan=True)
    assert points(events, "val/mse") == ([5, 10], [0.5, 1.0])
    assert points(events, "val/r2") == ([5, 10], [1.0, 2.0])
    assert "val/never" not in events.Tags()["scalars"]
    path = next(tmp_path.glob("events.*"))
    written = [(event.step, len(event.summary.value)) for event in EventFileLoader(str(path)).Load()]
    assert written == [(0, 0), *((step, 3 if step % 5 == 0 else 1) for step in range(1, 11))]


@pytest.mark.filterwarnings("error")
def test_what_single_precision_does_not_hold_is_infinite(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.scalars(np.array([1, 2]), {"loss": np.array([1e300, -np.inf])})
    file.scalars(np.array([3]), {})
    file.scalars(np.array([], np.int64), {"loss": np.array([])})
    file.close()
    assert points(read(tmp_path), "loss") == ([1, 2], [np.inf, -np.inf])


def test_columns_of_another_length_are_refused(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    with pytest.raises(ValueError, match="reshape"):
        file.scalars(np.arange(3), {"loss": np.zeros(4)})
    file.close()


def layout(events: EventAccumulator) -> Layout:
    """What CUSTOM SCALARS shows."""
    (written,) = events.Tensors("custom_scalars__config__")
    return Layout.FromString(written.tensor_proto.string_val[0])


PARAMETERS = {"optimizer.lr": 0.1, "model.bias": True, "seed": 3, "model": "mlp", "hidden": [1, 2], "none": None}


def test_pictures_graph_and_hyperparameters_are_read_back(tmp_path: Path) -> None:
    png = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + bytes(range(256)) * 40
    )
    file = EventFile(tmp_path)
    file.hparams(PARAMETERS)
    file.layout({"training": {"mse": ["train/mse", "a.b"]}})
    file.image("fit", png, 7)
    file.graph(torch.nn.Linear(2, 1), torch.zeros(4, 2))
    file.close()
    events = read(tmp_path)
    contents = events.PluginTagToContent("hparams")
    # No description of the experiment: TensorBoard would take this run's for that of all runs.
    assert set(contents) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    start = HParamsPluginData.FromString(contents[metadata.SESSION_START_INFO_TAG]).session_start_info.hparams
    assert start["optimizer.lr"].number_value == 0.1
    assert (start["hidden"].string_value, start["none"].string_value) == ("[1, 2]", "None")
    (picture,) = events.Images("fit")
    assert (picture.step, picture.width, picture.height) == (7, 640, 480)
    assert picture.encoded_image_string == png
    assert events.Graph().node
    (chart,) = layout(events).category[0].chart
    assert (chart.title, list(chart.multiline.tag)) == ("mse", ["^train/mse$", r"^a\.b$"])
