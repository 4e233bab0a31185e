"""What a run of one model is held against."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.predict import predict
from src.runs.train import show
from tests.commands import Call
from tests.compose import trained

SHORT = ("trainer.max_epochs=2", "logger=none", "figures=false")


@pytest.fixture
def table(tmp_path: Path) -> tuple[str, ...]:
    """A straight line with little noise, as words of a command."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 2))
    y = 50 + x @ [30.0, -2.0] + generator.normal(size=80)
    rows = np.column_stack([x, y]).tolist()
    (tmp_path / "table.csv").write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    return "data=csv", f"data.path={tmp_path / 'table.csv'}", "data.target=y"


def summary_of(path: Path) -> dict[str, Any]:
    return json.loads((path / "summary.json").read_text())


def test_a_net_that_loses_to_a_straight_line_is_told_so(call: Call, tmp_path: Path, table: tuple[str, ...]) -> None:
    """On rows that neither learned, in one line."""
    answer = call("train", *table, *SHORT, "model=mlp", "hydra.run.dir=poor")
    found = summary_of(tmp_path / "poor")
    line = found["baselines"].pop("least squares")
    assert found["baselines"] == {}, "boosting costs a second, which a run alone is not asked for"
    assert line["train/mse"] == pytest.approx(found["reference"]["mse"], rel=1e-9)
    assert line["test/rmse"] == pytest.approx(1, rel=0.5), "of rows with noise of deviation 1"
    own = found["metrics"]["test/rmse"]
    said = f"least squares has less error than this model: test/rmse {line['test/rmse']:.6g} against {own:.6g}"
    assert found["note"] == said
    assert [each for each in answer.out.splitlines() if said in each] == [f"P03 no better than a baseline: {said}"]


def test_all_of_them_where_they_are_asked_for(tmp_path: Path, table: tuple[str, ...], capsys: Any) -> None:
    """And evaluate repeats them."""
    found = trained(tmp_path / "run", *table, *SHORT, "baselines=true")
    assert list(found["baselines"]) == ["mean", "least squares", "ridge", "boosting"]
    show(found, RunFolder(tmp_path / "run"), True)
    evaluate(str(tmp_path / "run"), "best")
    said = capsys.readouterr().out
    figure = f"{found['baselines']['boosting']['val/mse']:.6g}"
    assert said.count(figure) == 2


def test_a_logarithm_s_predictions_are_said_to_be_medians(call: Call, tmp_path: Path) -> None:
    """And are: of a skewed target that nothing explains, half lie above, and the sum is a third too small."""
    x, y = np.random.default_rng(0).normal(size=(2, 400))
    rows = np.column_stack([x, np.exp(y)]).tolist()
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows))
    skewed = ("data=csv", "data.path=t.csv", "data.target=y", "logger=none", "trainer.max_epochs=3", "baselines=false")
    said = "predictions are about medians, not means"
    answer = call("train", *skewed, "data.target_scaling=log", "hydra.run.dir=log")
    assert answer.out.count(f"data.target_scaling=log: {said}") == 1
    assert said in (tmp_path / "log/train.log").read_text()
    assert said not in call("train", *skewed, "hydra.run.dir=plain").out
    predicted = predict(str(tmp_path / "log"), str(tmp_path / "t.csv"), "out.csv", "best")
    with predicted.open() as file:
        pairs = np.array([[float(line["y"]), float(line["y_predicted"])] for line in csv.DictReader(file)])
    assert np.mean(pairs[:, 0] > pairs[:, 1]) == pytest.approx(0.5, abs=0.05)
    assert pairs[:, 1].sum() == pytest.approx(np.exp(-0.5) * pairs[:, 0].sum(), rel=0.15)


def test_a_run_of_a_lesson_has_none(call: Call, tmp_path: Path) -> None:
    """Its output stays as the lesson has it."""
    assert call("train", *SHORT, "hydra.run.dir=cars", "data.val_fraction=0.2").code == 0
    assert "baselines" not in summary_of(tmp_path / "cars")
