"""What stands in the pictures, told by their artists."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from src.config import build
from src.errors import UserError
from src.figures.canvas import COLORS, number, tick_labels, tick_values
from src.figures.curves import curves, panels, smoothed
from src.figures.descent import surface
from src.figures.graph import autograd_graph, draw_graph, layers
from src.figures.rows import fit, residuals, worst
from src.figures.sweep import compare_curves, compare_fits
from src.runs.figures import Run
from src.runs.folder import RunFolder
from src.runs.picture import of_one
from src.runs.reference import Reference
from src.runs.restore import load_config, load_one
from tests.compose import trained

SPLIT = ("data.val_fraction=0.2", "data.test_fraction=0.2", "logger=none")


def named(axes: Axes) -> dict[str, Any]:
    """The artists that the legend names."""
    return {str(each.get_gid()): each for each in axes.get_children() if each.get_gid()}


def picture(path: Path, *overrides: str) -> Run:
    """What a run's pictures are made of."""
    summary = trained(path, *overrides)
    folder = RunFolder(path)
    cfg = load_config(folder)
    part = build.partition(cfg, build.table(cfg))
    return of_one(cfg, folder, load_one(folder, cfg, "best"), Reference(part), summary)


def houses(path: Path) -> tuple[str, ...]:
    """A table of large targets and two features."""
    random = np.random.default_rng(0)
    area, age = random.gamma(6, 25, 120), random.integers(0, 100, 120)
    price = 2e6 + area * 23000 - age * 6000 + random.normal(0, 3e5, 120)
    lines = [f"{a:.1f},{b},{c:.0f}" for a, b, c in zip(area, age, price, strict=True)]
    path.write_text("\n".join(["area,age,price in $ of_$ today", *lines]))
    return "data=csv", f"data.path={path}", "data.target=price in $ of_$ today", "logger=none"


def inside(figure: Figure) -> bool:
    """Whether every text that is drawn lies within the picture."""
    agg = FigureCanvasAgg(figure)
    agg.draw()
    whole = figure.bbox.padded(1)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [text.get_window_extent() for text in texts if text.axes is None or _is_drawn(text)]
    return all(whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1) for box in boxes)


def _is_drawn(text: Text) -> bool:
    axes = text.axes
    assert axes is not None
    hidden = [each for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_minor_ticks() for each in (tick.label1,)]
    second = [tick.label2 for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_major_ticks()]
    return text not in hidden and text not in second


def test_every_split_is_drawn_beside_the_reference(tmp_path: Path) -> None:
    run = picture(tmp_path, *SPLIT, "trainer.max_epochs=30")
    assert run.fits
    (axes,) = fit(run.fits).axes
    shown = named(axes)
    assert set(shown) == {"train", "val", "test", "least squares", "fitted"}
    summary = RunFolder(tmp_path).read_summary()
    for name in ("train", "val", "test"):
        assert len(shown[name].get_offsets()) == summary["data"]["splits"][name]
        assert to_hex(shown[name].get_facecolor()[0]).upper() == COLORS[name]
    x, y = shown["least squares"].get_data()
    known = summary["reference"]
    assert y[0] == pytest.approx(known["slope"] * x[0] + known["intercept"], rel=1e-5)
    title = axes.get_title("left")
    assert title.startswith("linear on cars\nrmse: train ")
    for name in ("train", "val", "test"):
        assert f"{name} {number(summary['metrics'][f'{name}/rmse'])}" in title


def test_quantiles_are_a_band_and_bars(tmp_path: Path) -> None:
    run = picture(tmp_path / "one", *SPLIT, "model=mlp", "loss=quantile", "trainer.max_epochs=5")
    assert run.fits
    assert run.fits[0].band is not None
    assert "quantiles 0.05 to 0.95" in named(fit(run.fits).axes[0])
    table = houses(tmp_path / "houses.csv")
    run = picture(tmp_path / "two", *table, "model=mlp", "loss=quantile", "trainer.max_epochs=5")
    assert run.fits
    bars = named(fit(run.fits).axes[0])["quantiles 0.05 to 0.95, test"].get_segments()
    test = run.fits[0].splits[-1]
    assert test.low is not None
    assert test.high is not None
    assert np.array([bar[:, 1] for bar in bars]) == pytest.approx(np.column_stack([test.low, test.high]), rel=1e-6)


def test_the_worst_rows_are_named_by_their_number(tmp_path: Path) -> None:
    run = picture(tmp_path / "run", *houses(tmp_path / "houses.csv"), "trainer.max_epochs=5")
    assert run.fits
    splits = run.fits[0].splits
    errors = {int(n): abs(e) for r in splits for n, e in zip(r.numbers, r.target - r.prediction, strict=True)}
    wanted = sorted(errors, key=lambda row: -errors[row])[:10]
    assert [int(rows.numbers[place]) for rows, place in worst(splits)] == wanted
    scatter, histogram = residuals(run.fits).axes
    assert {text.get_text() for text in scatter.texts} == {str(row) for row in wanted}
    shares = [np.ptp(patch.get_xy()[:, 0]) for patch in histogram.patches]
    assert len(shares) == 3
    assert max(shares) <= 1


def test_large_targets_and_long_names_fit_into_the_picture(tmp_path: Path) -> None:
    run = picture(tmp_path / "run", *houses(tmp_path / "houses.csv"), "trainer.max_epochs=40")
    assert run.fits
    assert run.course is not None
    for figure in (fit(run.fits), residuals(run.fits), curves(run.course)):
        assert inside(figure)
        labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert all(label == "0" or label[-1] in "kMGT" for label in labels), labels


def test_curves_have_one_unit_and_say_where_they_turn(tmp_path: Path) -> None:
    """A standardized loss is brought to the target's unit, where validation is."""
    run = picture(tmp_path / "run", *houses(tmp_path / "houses.csv"), "trainer.max_epochs=200")
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary["status"] == "stopped early"
    assert run.course is not None
    (panel,) = panels(run.course)
    assert panel.curves["train"][-1] == pytest.approx(summary["metrics"]["train/mse"], rel=0.2)
    (axes,) = curves(run.course).axes
    shown = named(axes)
    best, last = summary["best_epoch"], summary["epochs"]
    assert shown[f"best epoch: {best}"].get_xdata()[0] == best
    assert shown[f"stopped early: {last}"].get_xdata()[0] == last


def test_a_loss_that_is_no_metric_has_a_panel_of_its_own(tmp_path: Path) -> None:
    run = picture(tmp_path, *SPLIT, "loss=huber", "trainer.max_epochs=3")
    assert run.course is not None
    assert [(panel.title, list(panel.curves)) for panel in panels(run.course)[:2]] == [
        ("HuberLoss, as trained", ["train"]),
        ("mse, mpg²", ["val"]),
    ]


def test_what_trembles_is_smoothed_and_what_falls_is_not() -> None:
    falling = np.geomspace(100, 1, 300)
    assert smoothed(falling) is None
    noisy = falling * np.random.default_rng(0).lognormal(0, 0.5, 300)
    found = smoothed(noisy)
    assert found is not None
    assert np.abs(np.diff(found)).sum() < 0.3 * np.abs(np.diff(noisy)).sum()
    assert found[150] == pytest.approx(noisy[145:156].mean())


RUNS = {
    name: {"epoch": np.arange(1.0, 51), "step": np.arange(1.0, 51), "train/loss": end + np.geomspace(99, 1e-3, 50)}
    for name, end in (("lr=0.1", 10.0), ("lr=0.01", 40.0))
}
AWAY: dict[str, Sequence[float]] = {"epoch": [1, 2, 3], "step": [1, 2, 3], "train/loss": [1e2, 1e9, 1e17]}


def test_a_run_that_flew_off_does_not_flatten_the_others() -> None:
    (axes,) = compare_curves({**RUNS, "lr=9": AWAY}, "epoch").axes
    assert axes.get_ylim()[1] < 200
    assert {"lr=0.1", "lr=0.01", "lr=9, off the picture: 1e17"} == set(named(axes))
    x, y = np.arange(9.0)[:, None], np.arange(9.0)
    lines = {"good": lambda rows: rows[:, 0], "away": lambda rows: rows[:, 0] + 1e17}
    (axes,) = compare_fits(x, y, lines, "x", "y").axes
    assert axes.get_ylim()[0] >= -3
    assert axes.get_ylim()[1] <= 12
    assert set(named(axes)) == {"data", "good", "away, off the picture"}


@pytest.mark.parametrize(
    ("low", "high", "log", "labels"),
    [
        (0, 1.21e6, False, ["0", "0.2M", "0.4M", "0.6M", "0.8M", "1.0M", "1.2M"]),
        (-200, 900, False, ["-200", "0", "200", "400", "600", "800"]),
        (0.01, 2e6, True, ["0.01", "1", "100", "10k", "1M"]),
        (1e-9, 1e3, True, ["1e-9", "1e-7", "1e-5", "1e-3", "1e-1", "1e1", "1e3"]),
        (4, 60, True, ["10", "20", "30", "40", "50", "60"]),
        (2, 300, True, ["2", "5", "10", "20", "50", "100", "200"]),
        (1000000, 1000010, False, ["1.000000M", "1.000002M", "1.000004M", "1.000006M", "1.000008M", "1.000010M"]),
    ],
)
def test_ticks_have_one_notation(low: float, high: float, log: bool, labels: list[str]) -> None:
    assert tick_labels(tick_values(low, high, log, 7)) == labels


def test_a_graph_is_drawn_from_the_loss_down(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    loss = torch.nn.functional.mse_loss(net(torch.ones(4, 1)), torch.zeros(4, 1))
    graph = autograd_graph(loss, dict(net.named_parameters()))
    level = {node: depth for depth, row in enumerate(layers(graph)) for node in row}
    assert all(level[start] > level[end] for start, end in graph.edges)
    assert {graph.labels[node] for node in graph.leaves} == {
        "0.weight (3×1)",
        "0.bias (3)",
        "2.weight (1×3)",
        "2.bias (1)",
    }
    draw_graph(graph, tmp_path / "graph.svg")
    drawn = (tmp_path / "graph.svg").read_text()
    assert drawn.startswith("<?xml")
    for label in ("loss", "MseLoss", "Relu", *(graph.labels[node] for node in graph.leaves)):
        assert f">{label}</text>" in drawn


def test_a_descent_is_a_small_film(tmp_path: Path) -> None:
    trained(tmp_path, "descent=true", "logger=none", "trainer.max_epochs=300", figures=False)
    path = tmp_path / "figures" / "descent.gif"
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) > 30
    assert {each.name for each in path.parent.iterdir()} == {"descent.gif"}


def test_the_surface_is_the_error_of_each_line() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=50), random.normal(size=50)
    slopes, intercepts = np.array([-1.0, 2.0, 0.5]), np.array([3.0, -2.0])
    wanted = [[np.mean((y - a * x - b) ** 2) for a in slopes] for b in intercepts]
    assert surface(x, y, slopes, intercepts) == pytest.approx(np.array(wanted))


@pytest.mark.parametrize("overrides", [("model=mlp",), ("data.features=[wt,hp]", "optimizer.lr=1e-6"), ("folds=3",)])
def test_a_descent_of_anything_but_a_line_is_refused(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="descent=true draws"):
        trained(tmp_path, "descent=true", "logger=none", "trainer.max_epochs=2", *overrides)
    assert not (tmp_path / "metrics.csv").exists()


def test_folds_are_drawn_once_with_their_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows as the model that did not see them predicts them, and as far to each side as the run says."""
    drawn: list[Run] = []
    monkeypatch.setattr("src.runs.draw.write", lambda run, folder: drawn.append(run))
    summary = trained(
        tmp_path, "folds=4", "data.test_fraction=0.2", "trainer.max_epochs=20", "logger=none", figures=True
    )
    (run,) = drawn
    assert run.fits
    assert run.fits[0].band is not None
    assert [rows.name for rows in run.fits[0].splits] == ["out of fold", "test"]
    out = run.fits[0].splits[0]
    error = np.sqrt(np.mean((out.target - out.prediction) ** 2))
    assert error == pytest.approx(summary["metrics"]["oof/rmse"], rel=1e-6)
    ends = run.fits[0].band(np.array([[3.0]], np.float32))
    assert np.diff(ends)[0, 0] == pytest.approx(2 * summary["interval"]["half_width"], rel=1e-6)
    assert run.course is not None
    assert list(panels(run.course)[0].curves) == [f"model {place}" for place in range(4)]
    assert {"90% interval", "out of fold", "test", "fitted"} == set(named(fit(run.fits).axes[0]))
