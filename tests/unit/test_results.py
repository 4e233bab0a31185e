"""Files that others read: events, figures, graph, summary."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from src.config import build
from src.errors import UserError
from src.runs import figures
from src.runs.fit import fit
from src.runs.folder import RunFolder
from src.runs.graph import autograd_graph
from tests.compose import composed, trained


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
    assert events.Scalars("final/val/mse")[0].value == pytest.approx(summary["metrics"]["val/mse"])
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
    cfg.data.target = name
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    summary = fit(cfg, build.table(cfg), folder, "", [], True)
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert {path.name for path in folder.figures.iterdir()} == {"curves.png", "fit.png", "residuals.png"}
    print_summary(summary, tmp_path)
    assert name in capfd.readouterr().out
    x, y = np.arange(6.0).reshape(-1, 1), np.arange(6.0)
    drawn = [
        figures.fit(x, y, lambda rows: rows[:, 0], lambda rows: rows[:, 0], [name], name),
        figures.compare_fits(x, y, {name: lambda rows: rows[:, 0]}, name, name),
        figures.compare_curves({name: {"epoch": [1.0, 2.0], "train/loss": [2.0, 1.0]}}, "epoch"),
    ]
    for figure in drawn:
        figures.png(figure)
        assert name in {text.get_text() for text in figure.findobj(Text)}
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if name in text.get_text())


def test_what_cannot_be_drawn_leaves_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, and summary.json is written."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no\nink")

    for place in ("fit", "curves"):
        monkeypatch.setattr(f"src.runs.figures.{place}", broken)
    for place in ("graph", "hparams"):
        monkeypatch.setattr(f"src.adapters.tensorboard_events.EventFile.{place}", broken)
    monkeypatch.setattr("src.runs.draw.write_graph", broken)
    summary = trained(tmp_path, "trainer.max_epochs=2", "graph=true", figures=True)
    assert summary["status"] == "completed"
    assert RunFolder(tmp_path).read_summary()["metrics"] == summary["metrics"]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"residuals.png"}
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 5
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


def test_autograd_graph_leads_from_loss_to_the_parameters() -> None:
    net = torch.nn.Linear(1, 1)
    loss = torch.nn.functional.mse_loss(net(torch.ones(4, 1)), torch.zeros(4, 1))
    dot = autograd_graph(loss, dict(net.named_parameters()))
    assert "weight (1×1)" in dot
    assert "bias (1)" in dot
    assert "-> loss;" in dot
    assert "MseLoss" in dot


def test_graph_is_drawn_or_left_as_text(tmp_path: Path) -> None:
    trained(tmp_path, "experiment=computation_graph", "trainer.max_epochs=1", figures=True)
    assert any((tmp_path / "figures" / f"graph.{kind}").is_file() for kind in ("svg", "dot"))


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
