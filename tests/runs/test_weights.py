"""Rows that count by a column of weights: in the loss, in every figure and in what the run is held against."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.config import build
from src.errors import UserError
from src.models.ridge import ridge
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.interval import half_width, read_out_of_fold
from src.runs.predict import predict
from tests.compose import composed, trained

SGD = ("optimizer=sgd", "optimizer.lr=0.05", "trainer.max_epochs=20", "trainer.precision=64-true", "logger=none")
WHOLE = ("data.batch_size=null", "data.standardize=false", "data.val_fraction=0", "data.test_fraction=0")
NET = ("model=mlp", "model.hidden=[4]", "callbacks=default", *SGD)
SPLIT = "data.split=part"


def _write(path: Path, weights: np.ndarray, repeats: np.ndarray | None = None, parts: bool = False) -> Path:
    """Rows of two features, a target and a weight; of them all parts have some."""
    generator = np.random.default_rng(0)
    rows = len(weights)
    x = generator.normal(size=(rows, 2))
    y = x @ [1.0, -2.0] + x[:, 0] ** 2 + generator.normal(size=rows) / 3
    part = np.resize(["train", "train", "train", "val", "test"], rows)
    lines = ["x0,x1,y,w,part" if parts else "x0,x1,y,w"]
    for row in np.repeat(np.arange(rows), np.ones(rows, int) if repeats is None else repeats):
        cells = [*x[row].tolist(), float(y[row]), float(weights[row]), *([part[row]] if parts else [])]
        lines.append(",".join(map(str, cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


def _last_row(path: Path) -> dict[str, float]:
    lines = (path / "metrics.csv").read_text().splitlines()
    return {name: float(cell or "nan") for name, cell in zip(*(lines[i].split(",") for i in (0, -1)), strict=True)}


def _data(path: Path) -> tuple[str, ...]:
    return ("data=csv", f"data.path={path}", "data.target=y")


@pytest.mark.parametrize("way", ["engine", "plain"])
def test_integer_weights_are_rows_repeated(tmp_path: Path, way: str) -> None:
    """Training, figures, baselines and reference of least squares; full batches of SGD."""
    weights = np.random.default_rng(1).integers(0, 4, 30)
    one = _write(tmp_path / "weighed.csv", weights, parts=True)
    other = _write(tmp_path / "repeated.csv", weights, weights, parts=True)
    said = (*NET, *WHOLE[:2], SPLIT, *(["trainer.steps_per_execution=1"] if way == "plain" else []), "baselines=true")
    weighed = trained(tmp_path / "a", *_data(one), *said, "data.weight=w")
    repeated = trained(tmp_path / "b", *_data(other), *said, "data.drop=[w]")
    assert weighed["metrics"] == pytest.approx(repeated["metrics"], rel=1e-6), "weights are no repetitions"
    assert weighed["reference"] == pytest.approx(repeated["reference"], rel=1e-6)
    for name in ("mean", "least squares"):  # ridge and boosting shuffle or leave out one
        assert weighed["baselines"][name] == pytest.approx(repeated["baselines"][name], rel=1e-6)
    assert weighed["data"]["weight"] == "w"
    assert weighed["data"]["left_out"]["w"] == "data.weight"
    unweighed = trained(tmp_path / "c", *_data(one), *said, "data.drop=[w]")
    assert weighed["metrics"]["test/mse"] != pytest.approx(unweighed["metrics"]["test/mse"], rel=1e-3)


@pytest.mark.parametrize(
    "more",
    [("loss=quantile",), ("folds=3",), ("ensemble=2",), ("data.shuffle=true", "data.batch_size=8"), ("model=tabm",)],
    ids=lambda more: more[-1],
)
def test_equal_weights_are_none(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Alone, in a stack and in batches, with the net's start at least squares and all baselines."""
    path = _write(tmp_path / "t.csv", np.full(48, 2.5))
    said = (*_data(path), "trainer.max_epochs=4", "trainer.precision=64-true", "logger=none", "baselines=true", *more)
    weighed = trained(tmp_path / "a", *said, "data.weight=w")
    without = trained(tmp_path / "b", *said, "data.drop=[w]")
    assert weighed["metrics"] == pytest.approx(without["metrics"], rel=1e-6)
    for name, found in without["baselines"].items():
        assert weighed["baselines"][name] == pytest.approx(found, rel=1e-6), f"{name} is another one"
    found, known = (run.get("interval", {}) for run in (weighed, without))
    for key, value in known.items():
        assert found[key] == pytest.approx(value, rel=1e-6), f"interval: {key} is another one"


def test_folds_of_one_stack_are_runs_alone(tmp_path: Path) -> None:
    """Of batches that members do not share, too; out-of-fold figures are those of the file, which has the weights."""
    weights = np.random.default_rng(2).uniform(0, 3, 47)
    said = (*_data(_write(tmp_path / "t.csv", weights)), *NET, "data.weight=w", "folds=3", "data.batch_size=8")
    folder = RunFolder(tmp_path / "a")
    summary = trained(folder.path, *said)
    alone = trained(tmp_path / "b", *said, "fold=1")
    assert folder.members()[1].read_summary()["metrics"] == pytest.approx(alone["metrics"], rel=1e-9)
    rows = [_last_row(path) for path in (folder.members()[1].path, tmp_path / "b")]
    assert rows[0]["val/mae"] == pytest.approx(rows[1]["val/mae"], rel=1e-9), "validated otherwise in a stack"
    [columns] = read_out_of_fold(folder.path / "predictions_oof.csv")
    assert columns["weight"] == pytest.approx(weights[columns["row"].astype(int)])
    errors = columns["prediction"] - columns["target"]
    assert summary["metrics"]["oof/mae"] == pytest.approx(np.average(np.abs(errors), weights=columns["weight"]))
    both = evaluate(str(folder.path), "best")
    assert both == pytest.approx(summary["metrics"], rel=1e-6), "evaluate weighs otherwise"


def test_epoch_and_validation_are_weighed(tmp_path: Path) -> None:
    """A row's val/mae after the last epoch is the summary's; train/loss is the mean over the epoch's weights."""
    weights = np.random.default_rng(3).uniform(0, 3, 40)
    path = _write(tmp_path / "t.csv", weights, parts=True)
    still = ("optimizer.lr=1e-30", "trainer.max_epochs=2", "data.batch_size=7", "data.target_scaling=none")
    summary = trained(tmp_path / "a", *_data(path), *NET, *still, SPLIT, "data.weight=w", "model.start=null")
    last = _last_row(tmp_path / "a")
    assert last["val/mae"] == pytest.approx(summary["metrics"]["val/mae"], rel=1e-6)
    assert last["train/loss"] == pytest.approx(summary["metrics"]["train/mse"], rel=1e-6)


def test_predict_needs_no_weights(tmp_path: Path) -> None:
    """A file without the column is predicted."""
    path = _write(tmp_path / "t.csv", np.ones(40))
    trained(tmp_path / "a", *_data(path), *NET, "data.weight=w")
    new = tmp_path / "new.csv"
    new.write_text("x0,x1\n0.5,1\n-1,2\n")
    assert len(predict(str(tmp_path / "a"), str(new), None, "best").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("cell", "said"), [("-1", "'-1', expected a weight of 0"), ("", "'', expected a weight"), ("inf", "finite")]
)
def test_a_weight_that_is_none_is_named(tmp_path: Path, cell: str, said: str) -> None:
    """Its row and what stands there."""
    path = tmp_path / "t.csv"
    path.write_text(f"x,y,w\n1,2,1\n2,,-5\n3,4,{cell}\n4,5,1\n")
    with pytest.raises(UserError, match=f"(row|line) 4.*'w'.*{said}"):
        build.table(composed(*_data(path), "data.weight=w"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("data.weight=y",), "data.weight=y: is the target"),
        (("data.weight=w", "data.features=[x0,w]"), "holds the row weight 'w'"),
        (("data.weight=v",), "has no column 'v'"),
        (("data.weight=w", "model=scratch"), "model=scratch weighs no rows"),
        (("data.weight=w", "loss._target_=tests.training.test_losses.Own"), "data.weight needs a loss"),
    ],
)
def test_what_cannot_be_weighed_is_refused(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    """In one line."""
    path = _write(tmp_path / "t.csv", np.ones(20))
    with pytest.raises(UserError, match=said):
        trained(tmp_path / "a", *_data(path), *SGD, *more)


def test_a_part_that_weighs_nothing_is_refused(tmp_path: Path) -> None:
    """No figure could be made of it."""
    path = _write(tmp_path / "t.csv", np.resize([1, 1, 1, 0, 1], 30), parts=True)
    with pytest.raises(UserError, match=r"data\.weight=w: all 6 val rows weigh 0"):
        trained(tmp_path / "a", *_data(path), *NET, SPLIT, "data.weight=w")


def test_ridge_is_weighed() -> None:
    """The line of the penalty 1 solves the weighed normal equations."""
    generator = np.random.default_rng(4)
    x, y, weights = generator.normal(size=(30, 3)), generator.normal(size=30), generator.uniform(0, 2, 30)
    weights /= weights.mean()
    line, _ = ridge(((x, np.empty((30, 0), int)), y, weights), 0)
    centred, wanted = x - weights @ x / 30, y - weights @ y / 30
    slopes = np.linalg.solve(centred.T * weights @ centred + np.eye(3), centred.T * weights @ wanted)
    assert line.slopes == pytest.approx(slopes, rel=1e-6)
    assert line.intercept == pytest.approx(weights @ (y - x @ slopes) / 30, rel=1e-6)


def test_half_widths_are_weighed() -> None:
    """Equal weights give what none give; a row of no weight changes nothing but the next one's."""
    errors = np.random.default_rng(0).normal(size=40)
    columns: dict[str, Any] = {"prediction": errors, "target": np.zeros(40)}
    for level in (0.5, 0.8, 0.9, 0.95, 0.99):
        assert half_width(columns | {"weight": np.full(40, 0.3)}, level) == half_width(columns, level)
    heavy = np.where(np.abs(errors) > 1, 1.0, 0.0)
    assert half_width(columns | {"weight": heavy}, 0.05) > 1 > half_width(columns, 0.05)
