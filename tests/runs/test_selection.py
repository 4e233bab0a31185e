"""Runs that predict together, chosen by the rows that their models did not see."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.errors import UserError
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.interval import read_out_of_fold
from src.runs.predict import predict
from src.runs.selection import crossed, greedy, remove
from tests.commands import Call

NOISE = np.random.default_rng(0)
TARGET = NOISE.normal(size=300)
ERROR = NOISE.normal(size=300)
SWEEP = (
    "data=csv",
    "data.path=t.csv",
    "data.target=y",
    "folds=3",
    "model=mlp",
    "model.hidden=[6]",
    "optimizer.lr=0.02",
)
SWEEP += ("trainer.max_epochs=8", "logger=none", "baselines=false", "hydra.sweep.dir=s")


def test_runs_of_opposite_errors_are_mixed_as_these_ask_for() -> None:
    """Once each where they cancel out, twice the one with half the error; who only errs is left out."""
    runs = np.stack([TARGET + ERROR, TARGET - ERROR, TARGET + 5])
    assert greedy(runs, TARGET, "mse").tolist() == [1, 1, 0]
    assert greedy(runs, TARGET, "r2").tolist() == [1, 1, 0]
    often = greedy(np.stack([TARGET + 2 * ERROR, TARGET - ERROR]), TARGET, "mae")
    assert often[1] == 2 * often[0] > 0


def test_the_best_alone_where_others_add_nothing() -> None:
    """Even after forty rounds."""
    assert greedy(np.stack([TARGET + 3 * ERROR, TARGET + ERROR, TARGET + 2 * ERROR]), TARGET, "mse").tolist() == [
        0,
        1,
        0,
    ]


def test_a_mixture_may_be_of_several_targets() -> None:
    """Chosen by all of them whatever their unit, or by one; both runs err in one of them alone."""
    scale = np.array([[1e4], [1]])
    target = scale * np.stack([TARGET, ERROR])
    runs = np.stack([target + scale * [[0.1], [2]], target + scale * [[2], [0.1]]])
    fold, both = np.arange(300) % 5, ("a", "b")
    assert greedy(runs, target, "mse/a", None, both).tolist() == [1, 0]
    assert greedy(runs, target, "r2/b", None, both).tolist() == [0, 1]
    assert greedy(runs, target, "mse", None, both).min() > 0, "the unit of one decides for both"
    assert crossed(runs, target, fold, "rmse/b", None, both) == pytest.approx((0.1, 0.1))


def test_a_choice_among_noise_is_found_out() -> None:
    """A mixture of random numbers looks good on the rows that chose it, and is worse than the mean on others."""
    target = NOISE.normal(size=30)
    runs = 0.7 * NOISE.normal(size=(40, 30))
    fold = np.arange(30) % 5
    often = greedy(runs, target, "mse")
    chosen = float(np.mean((often @ runs / often.sum() - target) ** 2))
    mixed, single = crossed(runs, target, fold, "mse")
    assert chosen < 0.7 * target.var() < target.var() < mixed < single
    both = np.stack([TARGET + ERROR, TARGET - ERROR])
    assert crossed(both, TARGET, np.arange(300) % 5, "mse")[0] == pytest.approx(0, abs=1e-20), "each fold has its own"


@pytest.fixture(scope="module")
def rows() -> list[list[float]]:
    found = np.random.default_rng(3).normal(size=(60, 2))
    return np.column_stack([found, np.sin(2 * found[:, 0]) + found[:, 1]]).tolist()


def test_a_sweep_of_folds_ends_with_its_ensemble(call: Call, tmp_path: Path, rows: list[list[float]]) -> None:
    """A folder that predicts the weighted mean of its runs, repeats its own figures, and is no run of the sweep."""
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    (tmp_path / "new.csv").write_text("a,b\n0.3,0.1\n-1,2\n")
    answer = call("train", "-m", *SWEEP, "seed=0,1,2", "data.split_seed=1", "data.test_fraction=0.2")
    assert answer.code == 0, answer.err
    folder = RunFolder(tmp_path / "s/ensemble")
    summary = folder.read_summary()
    runs, weights = summary["runs"], np.array(summary["weights"])
    assert len(runs) > 1
    assert weights.sum() == pytest.approx(1)

    each = [read_out_of_fold(tmp_path / "s" / run / "predictions_oof.csv")[0] for run in runs]
    left_out = weights @ np.stack([columns["prediction"] for columns in each])
    assert read_out_of_fold(folder.path / "predictions_oof.csv")[0]["prediction"] == pytest.approx(left_out, rel=1e-6)
    assert summary["metrics"]["oof/mse"] == pytest.approx(np.mean((left_out - each[0]["target"]) ** 2), rel=1e-6)
    alone = min(RunFolder(tmp_path / "s" / run).read_summary()["metrics"]["oof/mse"] for run in "012")
    [said] = [line for line in answer.out.splitlines() if line.startswith("ensemble of runs")]
    assert f"oof/mse {summary['metrics']['oof/mse']:.6g} against {alone:.6g} of run" in said
    assert "so both are too good" in said
    assert f"test/mse {summary['metrics']['test/mse']:.6g} against" in said

    together = predictions(folder.path)
    assert together == pytest.approx(weights @ np.stack([predictions(tmp_path / "s" / run) for run in runs]), rel=1e-9)
    assert evaluate(str(folder.path), "best") == summary["metrics"]
    board = list(csv.DictReader((tmp_path / "s/leaderboard.csv").open(newline="")))
    assert sorted(line["folder"] for line in board) == ["0", "1", "2"]
    assert "run=s/ensemble input=FILE.csv" in answer.out
    assert (
        f"predict with the 3 models of run {board[0]['folder']}: python -m src.predict run=s/{board[0]['folder']} "
        in (answer.out)
    )

    again(call, tmp_path, folder, summary)


def again(call: Call, tmp_path: Path, folder: RunFolder, summary: dict[str, Any]) -> None:
    """A second report changes nothing; another choice leaves predictions of the older one where they can be found."""
    (folder.path / "predictions").mkdir()
    (folder.path / "predictions" / "new.csv").write_text("theirs")
    before = folder.summary.stat().st_mtime_ns
    assert call("report", "sweep=s").code == 0
    assert folder.summary.stat().st_mtime_ns == before
    folder.write_summary(summary | {"weights": [1.0]})
    with pytest.raises(UserError, match="asks for 3 members, found 6"):
        predictions(folder.path)
    assert call("report", "sweep=s").code == 0
    assert folder.read_summary()["weights"] == summary["weights"]
    assert not (folder.path / "predictions").exists()
    assert (tmp_path / "s/ensemble.1/predictions/new.csv").read_text() == "theirs"
    board = list(csv.DictReader((tmp_path / "s/leaderboard.csv").open(newline="")))
    assert len(board) == 3, "the older one is no run either"


def predictions(run: Path) -> np.ndarray:
    out = run.parents[1] / "out.csv"
    predict(str(run), str(run.parents[1] / "new.csv"), str(out), "best")
    with out.open() as file:
        return np.array([float(line["y_predicted"]) for line in csv.DictReader(file)])


@pytest.mark.parametrize("apart", ["data.split_seed=1,2", "data.drop=[a],[b]"])
def test_runs_of_other_folds_or_columns_are_not_mixed(
    call: Call, tmp_path: Path, rows: list[list[float]], apart: str
) -> None:
    """Where each trial left out other rows, or read other columns, the best run is all there is."""
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    answer = call("train", "-m", *SWEEP, "baselines=null", apart)
    assert answer.code == 0, answer.err
    assert not any(RunFolder(tmp_path / "s" / run).read_summary()["baselines"] for run in "01"), "once for the sweep"
    board = list(csv.DictReader((tmp_path / "s/leaderboard.csv").open(newline="")))
    assert [float(line["objective"]) == float(line["oof/mse"]) for line in board[2:]] == [True] * 4
    assert "ensemble of runs" not in answer.out
    assert not (tmp_path / "s/ensemble").exists()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """Somebody's folder of that name."""
    (tmp_path / "summary.json").write_text(json.dumps({"status": "completed"}))
    with pytest.raises(UserError, match="holds something else"):
        remove(RunFolder(tmp_path))
    assert (tmp_path / "summary.json").exists()
