"""What is said of the best run of a sweep."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.reports.uncertainty import interval, of_seeds, sentence
from src.runs.baselines import fitted
from src.runs.find import find
from tests.commands import Call
from tests.compose import trained

RUN = ("trainer.max_epochs=2", "logger=none", "data.test_fraction=0.2")


@pytest.fixture
def table(tmp_path: Path) -> tuple[str, ...]:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 3)).tolist()
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    return "data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y", *RUN


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_baselines_stand_in_the_leaderboard_once(
    call: Call, tmp_path: Path, table: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the figures of the best run's own split; they are not fitted again for the same best."""
    answer = call("train", "-m", *table, "seed=3,4", "data.split_seed=7", "hydra.sweep.dir=outputs/sweeps/s")
    assert answer.code == 0, answer.err
    board = lines(tmp_path / "outputs/sweeps/s")
    assert [line["status"] for line in board] == ["completed", "completed", *["baseline"] * 4]
    assert find("best", "run").name == board[0]["folder"]
    for number in "01":
        summary = json.loads((tmp_path / f"outputs/sweeps/s/{number}/summary.json").read_text())
        assert "baselines" not in summary, "a trial has none of its own"
    own = trained(tmp_path / "own", *table, "data.split_seed=7", "baselines=true")["baselines"]
    for line, (name, figures) in zip(board[2:], own.items(), strict=True):
        assert line["message"] == f"{name}, on the rows of run {board[0]['folder']}"
        for figure, value in figures.items():
            assert float(line[figure]) == pytest.approx(value, rel=1e-9), (name, figure)
        assert line["objective"] == line["val/mse"]
    assert answer.out.count(" baseline ") == 4

    names: list[str] = []

    def counted(name: str, part: Any) -> Any:
        names.append(name)
        return fitted(name, part)

    monkeypatch.setattr("src.runs.reference.fitted", counted)
    file = tmp_path / "outputs/sweeps/s/sweep.json"
    for text, wanted in ((file.read_text(), []), (other_best(file), ["mean", "ridge", "boosting"])):
        file.write_text(text)
        assert call("report", "sweep=outputs/sweeps/s").code == 0
        assert names == wanted
        assert lines(tmp_path / "outputs/sweeps/s") == board


def other_best(file: Path) -> str:
    """A sweep.json as it would be, had another run been the best."""
    found = json.loads(file.read_text())
    found["fitted_for"]["run"] = "17"
    found["baselines"]["mean"]["val/mse"] = -1
    return json.dumps(found)


def test_a_sweep_of_a_lesson_has_none_and_says_how_well_its_best_is_known(call: Call, tmp_path: Path) -> None:
    """Six rows that chose are few, and folds are advised."""
    answer = call("train", "-m", *RUN[:2], "optimizer.lr=0.001,0.01", "data.val_fraction=0.2", "hydra.sweep.dir=s")
    board = lines(tmp_path / "s")
    assert [line["status"] for line in board] == ["completed"] * 2
    [said] = [line for line in answer.out.splitlines() if "interval" in line]
    assert said.startswith(f"run {board[0]['folder']}: val/mse {float(board[0]['val/mse']):.6g} is of 6 rows, 95% ")
    assert said.endswith(
        "; chosen by these rows as the best of 2, it is likely too good; folds=5 would judge by all 32"
    )
    assert said in json.loads((tmp_path / "s/sweep.json").read_text())["remarks"]
    assert said in (tmp_path / "s/report.html").read_text()


def test_rows_that_changed_are_not_looked_at(call: Call, tmp_path: Path, table: tuple[str, ...]) -> None:
    """What is said of a run would be of other rows."""
    assert call("train", "-m", *table, "optimizer.lr=0.1,0.2", "baselines=false", "hydra.sweep.dir=s").code == 0
    assert {line["status"] for line in lines(tmp_path / "s")} == {"completed"}
    assert "is of 9 rows" in call("report", "sweep=s").out
    with (tmp_path / "t.csv").open("a") as file:
        file.write("1,2,3\n")
    assert "is of 9 rows" not in call("report", "sweep=s").out


def test_the_interval_of_normal_errors() -> None:
    """Known in closed form: of a mean of n squares 1.96 sqrt(2/n) to each side, of absolute ones a third less."""
    generator = np.random.default_rng(1)
    errors, target = generator.normal(size=800), 3 * generator.normal(size=800)
    low, high = interval(errors, target, "mse")
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(2 / 800) * np.mean(errors**2), rel=0.15)
    assert low < np.mean(errors**2) < high
    roots = interval(errors, target, "rmse")
    assert roots == pytest.approx((np.sqrt(low), np.sqrt(high)))
    low, high = interval(errors, target, "mae")
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(np.abs(errors)) / np.sqrt(800), rel=0.15)
    low, high = interval(errors, target, "r2")
    assert low < 1 - np.mean(errors**2) / target.var() < high < 1
    both = np.stack([errors, 1e6 * errors]), np.stack([target, 1e6 * target])
    for weights in (None, np.ones(800)):
        assert interval(*both, "r2", weights, "ab") == pytest.approx((low, high)), "in units of each"
        assert interval(*both, "rmse/b", weights, "ab") == pytest.approx([1e6 * bound for bound in roots])


def test_what_is_said_of_many_rows_and_of_seeds() -> None:
    """No advice where it would change little; a mean over seeds has Student's interval."""
    said = sentence("3", "val/mse", 1.5, (1.0, 2.0), 300, 2000, 1)
    assert said == "run 3: val/mse 1.5 is of 300 rows, 95% bootstrap interval 1 to 2"
    assert "folds" not in sentence("3", "oof/mse", 1.5, (1.0, 2.0), 50, 50, 9), "they judge by all rows already"
    said = of_seeds("val/mse", 10.0, 2.0, 4, None)
    assert said.endswith("10 is the mean of 4 seeds, 95% interval 6.818 to 13.18")  # 3.182 deviations of the mean
