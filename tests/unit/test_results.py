"""Files that others read: events, figures, graph, summary."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.config import build
from src.config.check import settle
from src.errors import UserError
from src.figures.canvas import png
from src.figures.rows import Fit, Rows, residuals
from src.figures.rows import fit as fit_picture
from src.figures.sweep import compare_curves, compare_fits
from src.runs.fit import fit
from src.runs.folder import RunFolder
from src.training.tensorboard import Curves, TensorBoard
from tests.commands import Call
from tests.compose import composed, trained
from tests.unit.test_events import layout


def test_tensorboard_reads_curves_pictures_graph_and_hyperparameters(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    summary = trained(tmp_path, "data.val_fraction=0.2", "trainer.max_epochs=1200", figures=True)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = events.Tags()
    assert set(tags["images"]) == {"curves", "fit", "residuals"}
    assert {"train/loss", "slope", "intercept", "val/mse", "final/val/mse"} <= set(tags["scalars"])
    assert tags["graph"]
    assert any(b"optimizer.lr" in content for content in events.PluginTagToContent("hparams").values())
    curve = events.Scalars("train/loss")
    assert 400 <= len(curve) <= 501
    assert curve[-1].step == 1200
    assert {tag for tag in tags["scalars"] if tag.startswith("final/")} == {"final/val/mse"}  # no chart of one point
    final = [point.value for point in events.Scalars("final/val/mse")]
    assert final[-1] == pytest.approx(summary["metrics"]["val/mse"])
    assert final == sorted(final, reverse=True)
    assert len(final) > 400
    start = events.PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
    results = HParamsPluginData.FromString(start).session_start_info.hparams
    assert results["→ val/r2"].number_value == summary["metrics"]["val/r2"]
    charts = {chart.title: list(chart.multiline.tag) for chart in layout(events).category[0].chart}
    assert charts["mse by split"] == ["^train/mse$", "^val/mse$"]
    assert charts["slope"] == ["^slope$", "^slope/least\\ squares$"]
    assert {p.value for p in events.Scalars("slope/least squares")} == {np.float32(summary["reference"]["slope"])}
    for name in ("curves", "fit", "residuals"):
        png = (tmp_path / "figures" / f"{name}.png").read_bytes()
        assert events.Images(name)[0].encoded_image_string == png
        assert png.startswith(b"\x89PNG")


STRANGE = ("revenue $ per_unit_$", "x^2 \\\\ $\\\\frac{1$", "_hidden", "$$", "price [/kg] [bold]")


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("name", STRANGE)
def test_column_names_are_text_in_every_figure(
    tmp_path: Path, name: str, features: int, capfd: Any, caplog: Any
) -> None:
    """A dollar sign begins no formula, and an underscore hides nothing."""
    from src.runs.terminal import print_summary

    table = tmp_path / "rows.csv"
    names = [f"{name} {i}" for i in range(features)]
    rows = [",".join(str(i * i % (7 + j)) for j in range(features + 1)) for i in range(30)]
    table.write_text("\n".join([",".join([*names, name]), *rows]))
    cfg = composed("data=csv", f"data.path={table}", "data.target=y", "trainer.max_epochs=2")
    settle(cfg)
    cfg.data.target = name
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    summary = fit(cfg, build.table(cfg), folder, "", [], True)
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert {path.name for path in folder.figures.iterdir()} == {"curves.png", "fit.png", "residuals.png"}
    print_summary(summary, tmp_path)
    assert name in capfd.readouterr().out
    x, y = np.arange(6.0).reshape(-1, 1), np.arange(6.0)
    rows = [Rows("train", np.arange(6), x, y, y, 6)]
    found = Fit("title", [name], name, rows, lambda rows: rows[:, 0], features == 1)
    drawn = [
        fit_picture([found]),
        residuals([found]),
        compare_fits(x, y, {name: lambda rows: rows[:, 0]}, name, name),
        compare_curves({name: {"epoch": [1.0, 2.0], "train/loss": [2.0, 1.0]}}, "epoch"),
    ]
    for figure in drawn:
        png(figure)
        assert any(name in text.get_text() for text in figure.findobj(Text))
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if name in text.get_text())


def test_what_cannot_be_drawn_leaves_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, and summary.json is written."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no\nink")

    for place in ("fit", "curves"):
        monkeypatch.setattr(f"src.runs.figures.{place}", broken)
    for place in ("graph", "hparams", "layout"):
        monkeypatch.setattr(f"src.adapters.tensorboard_events.EventFile.{place}", broken)
    monkeypatch.setattr("src.figures.graph.draw_graph", broken)
    monkeypatch.setattr("src.figures.descent.draw_descent", broken)
    summary = trained(tmp_path, "trainer.max_epochs=2", "graph=true", "descent=true", figures=True)
    assert summary["status"] == "completed"
    assert RunFolder(tmp_path).read_summary()["metrics"] == summary["metrics"]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"residuals.png"}
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 7
    assert all(line.endswith("is left out: RuntimeError: no ink") for line in said)


def test_all_points_where_asked_for(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, "logger.tensorboard.max_points=null", "trainer.max_epochs=900")
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    assert len(events.Scalars("slope")) == 900


def test_summary_is_strict_json_even_for_a_run_that_diverged(tmp_path: Path) -> None:
    trained(tmp_path, "optimizer.lr=1")
    summary = json.loads(RunFolder(tmp_path).summary.read_text(), parse_constant=pytest.fail)
    assert summary["status"] == "diverged"
    assert summary["metrics"] == {}


def test_a_new_run_in_an_old_folder_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    trained(tmp_path, "trainer.max_epochs=3", figures=True)
    kept = {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    before = RunFolder(tmp_path).read_summary()
    with pytest.raises(UserError, match="holds files that are not a run's of this sweep"):
        trained(tmp_path, "trainer.max_epochs=5", "logger=none")
    assert {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == kept
    assert RunFolder(tmp_path).read_summary() == before


@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_a_dashboard_that_cannot_be_written_costs_a_line(call: Call, monkeypatch: Any, launcher: str) -> None:
    """While it trains, alone and as a member of a stack; the run ends as ever."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("src.adapters.tensorboard_events.EventFile.scalars", full)
    sweep = () if launcher == "basic" else ("-m", "seed=0,1", "hydra/launcher=stacked", "hydra.sweep.dir=run")
    answer = call("train", "trainer.max_epochs=3", "hydra.run.dir=run", *sweep)
    assert answer.code == 0
    assert answer.out.count("TensorBoard's curves are left out: OSError: [Errno 28] No space") == (2 if sweep else 1)
    assert RunFolder("run/1" if sweep else "run").read_summary()["status"] == "completed"


def test_the_best_so_far_goes_on_from_chunk_to_chunk(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoard(None)
    logger.bind(tmp_path, Curves("val/mse", False, "mse", 4.0))
    for first, values in ((1, [2.0, 3.0]), (3, [2.5, np.nan]), (5, [1.0, 4.0])):
        rows = np.arange(first, first + 2)
        table = {"epoch": rows, "step": rows, "train/loss": np.ones(2), "val/mse": np.array(values)}
        logger.log_table(table, 6, last=first == 5)
    logger.finish({"val/mse": 1.0}, {}, 6)
    logger.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    assert [point.value for point in events.Scalars("final/val/mse")] == [2, 2, 2, 2, 1, 1, 1]
    assert {point.value for point in events.Scalars("train/mse")} == {4.0}


def test_a_run_that_came_to_nothing_has_no_final_figure(tmp_path: Path) -> None:
    """Or a table of runs would show the best that it passed on its way out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, "optimizer.lr=1", "data.val_fraction=0.2")
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0}).Reload()
    assert np.isnan(events.Scalars("final/val/mse")[-1].value)


def test_the_benchmark_s_smallest_size_runs() -> None:
    from tests.benchmarks.single import ROWS

    for name in ("fit-cars", "fit-mlp", "load", "epoch"):
        for row in ROWS[name](1, 0.01):
            assert row.ratio > 0


def test_a_swept_run_s_command_does_that_run_and_not_the_sweep() -> None:
    from src.runs.folder import run_command

    assert run_command(["sweep=lr", "optimizer.lr=0.1"], swept=True).endswith(
        "sweep=lr optimizer.lr=0.1 hydra.mode=RUN"
    )
    assert run_command(["experiment=model_class"], swept=False) == "python -m src.train experiment=model_class"
    assert run_command(["optimizer.lr=0.1"], swept=True) == "python -m src.train optimizer.lr=0.1"
