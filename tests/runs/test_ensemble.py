"""Folds and ensembles: models of one run, which predict together."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.checks.training import no_better
from src.config.check import check, settle
from src.errors import UserError
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.interval import half_width, read_out_of_fold
from src.runs.predict import predict
from tests.compose import composed, trained

TABLE = ("data=synthetic", "data.n_samples=60", "data.n_features=3", "data.n_informative=3", "data.noise=5")
NET = ("model=mlp", "model.hidden=[8]", "optimizer=adam", "trainer.max_epochs=6", "logger=none")


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, dict[str, Any]]:
    """A run of four folds and its summary."""
    path = tmp_path_factory.mktemp("folds")
    return RunFolder(path), trained(path, *TABLE, *NET, "folds=4", "data.test_fraction=0.2")


def test_every_row_is_left_out_once(folds: tuple[RunFolder, dict[str, Any]]) -> None:
    """Test rows by no fold, all others by one; the out-of-fold figures are those of the file."""
    folder, summary = folds
    [columns] = read_out_of_fold(folder.path / "predictions_oof.csv")
    assert len(columns["row"]) == 48 == len(set(columns["row"]))
    assert sorted(np.bincount(columns["fold"].astype(int))) == [12] * 4
    errors = columns["prediction"] - columns["target"]
    assert np.mean(errors**2) == pytest.approx(summary["metrics"]["oof/mse"], rel=1e-12)
    assert np.mean(np.abs(errors)) == pytest.approx(summary["metrics"]["oof/mae"], rel=1e-12)
    assert summary["objective"] == {"name": "oof/mse", "value": summary["metrics"]["oof/mse"]}
    assert summary["data"]["splits"] == {"train": 36, "val": 12, "test": 12}


def test_a_fold_is_the_run_of_its_own(folds: tuple[RunFolder, dict[str, Any]], tmp_path: Path) -> None:
    """fold=2 alone comes to the member's figures, and its folder says so."""
    folder, summary = folds
    alone = trained(tmp_path, *TABLE, *NET, "folds=4", "fold=2", "data.test_fraction=0.2")
    member = folder.members()[2].read_summary()
    assert member["status"] == alone["status"]
    assert member["metrics"] == pytest.approx(alone["metrics"], rel=1e-5)
    assert {metric: summary["members"][2]["metrics"][metric] for metric in member["metrics"]} == member["metrics"]
    each = [found.read_summary()["metrics"]["val/rmse"] for found in folder.members()]
    assert summary["metrics"]["val/rmse"] == pytest.approx(np.mean(each), rel=1e-12)
    assert summary["deviations"]["val/rmse"] == pytest.approx(np.std(each, ddof=1), rel=1e-9)


def test_models_predict_together(folds: tuple[RunFolder, dict[str, Any]], tmp_path: Path) -> None:
    """The mean of the members' predictions, from the run's folder and nothing else; intervals lie around it."""
    folder, _ = folds
    source = tmp_path / "new.csv"
    source.write_text("x0,x1,x2\n0.1,0.2,0.3\n-1,0,1\n")

    def column(run: Path, name: str = "y_predicted", **options: Any) -> list[float]:
        predict(str(run), str(source), str(tmp_path / "out.csv"), "best", **options)
        with (tmp_path / "out.csv").open() as file:
            return [float(line[name]) for line in csv.DictReader(file)]

    together = column(folder.path)
    assert together == pytest.approx(np.mean([column(each.path) for each in folder.members()], axis=0), rel=1e-9)
    low, high = (column(folder.path, name, interval=0.8) for name in ("y_low", "y_high"))
    half = half_width(*read_out_of_fold(folder.path / "predictions_oof.csv"), 0.8)
    assert np.subtract(high, low) == pytest.approx([2 * half] * 2)
    assert np.add(high, low) / 2 == pytest.approx(together)
    with pytest.raises(UserError, match="interval must be a number between 0 and 1"):
        column(folder.path, interval=90)
    with pytest.raises(UserError, match="a run with folds=5 has, or the quantiles at its ends"):
        column(folder.members()[0].path, interval=0.9)


def test_evaluate_repeats_the_figures(folds: tuple[RunFolder, dict[str, Any]], capsys: Any) -> None:
    """All of them, to the last bit, and the baselines' beside them."""
    folder, summary = folds
    assert evaluate(str(folder.path), "best") == summary["metrics"]
    said = capsys.readouterr().out
    assert all(name in said for name in ("4 models", "mean", "least squares", "ridge", "boosting"))


def test_a_half_width_holds_its_share() -> None:
    """Of nine errors 90 % takes the largest, 80 % the second largest, and 95 % more than there are."""
    columns = {"prediction": np.zeros(9), "target": np.arange(1.0, 10)}
    assert [half_width(columns, level) for level in (0.9, 0.8, 0.5, 0.95)] == [9, 8, 5, np.inf]


def test_baselines_stand_on_the_same_rows(folds: tuple[RunFolder, dict[str, Any]]) -> None:
    """Least squares is at home on generated lines, the mean is far off, and losing to them is said."""
    _, summary = folds
    rmse = {name: figures["oof/rmse"] for name, figures in summary["baselines"].items()}
    assert rmse["least squares"] == pytest.approx(5, rel=0.3)
    assert rmse["mean"] > 5 * rmse["least squares"]
    names, _, values = summary["note"].partition(" have less error than this model: test/rmse ")
    assert set(names.split(", ")) == {"least squares", "ridge"}, "a run that loses to two lines is told of both"
    best, worst = (float(value) for value in values.split(" against ")[0].split(", "))
    assert best <= worst < summary["metrics"]["test/rmse"]
    assert no_better({"oof/rmse": 1.0}, summary["baselines"]) is None
    assert no_better({"train/rmse": 1.0}, summary["baselines"]) is None


def test_an_ensemble_differs_in_seeds_only(tmp_path: Path) -> None:
    """The same rows for all, other starts; a member's folder repeats it alone."""
    summary = trained(tmp_path, *TABLE, *NET, "ensemble=3", "data.val_fraction=0.2", "seed=5")
    members = RunFolder(tmp_path).members()
    own = [each.read_summary() for each in members]
    assert [each["seed"] for each in own] == [5, 6, 7]
    assert len({each["metrics"]["val/mse"] for each in own}) == 3
    assert "oof/mse" not in summary["metrics"]
    assert len({each["reference"]["mse"] for each in own}) == 1
    assert evaluate(str(members[1].path), "best") == own[1]["metrics"]


def test_what_cannot_be_stacked_trains_model_by_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason in the log, and to the same figures."""
    caplog.set_level("INFO")
    first = trained(tmp_path / "a", *TABLE, *NET, "folds=3")
    second = trained(tmp_path / "b", *TABLE, *NET, "folds=3", "trainer.steps_per_execution=1")
    assert "model by model: trainer.steps_per_execution=1 asks for it" in caplog.messages
    assert first["metrics"] == pytest.approx(second["metrics"], rel=1e-4)


def test_nothing_of_a_left_out_row_reaches_a_model(tmp_path: Path) -> None:
    """Poisoned validation and test rows change neither encoder nor weights."""
    table = tmp_path / "table.csv"
    numbers = np.random.default_rng(0).normal(size=(40, 3)).tolist()
    base = ("data=csv", f"data.path={table}", "data.target=y", "data.test_fraction=0.2", *NET, "folds=4", "fold=1")

    def predictions(run: str, poison: list[int]) -> list[str]:
        rows = [[1e6, -1e6, 1e9] if place in poison else row for place, row in enumerate(numbers)]
        table.write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
        trained(tmp_path / run, *base)
        source = tmp_path / "new.csv"
        source.write_text("a,b\n0.5,0.5\n-2,1\n")
        # last: which epoch is best, validation rows may say.
        return predict(str(tmp_path / run), str(source), str(tmp_path / "out.csv"), "last").read_text().splitlines()

    clean = predictions("clean", [])
    from src.config import build

    cfg = composed(*base)
    settle(cfg)
    part = build.partition(cfg, build.table(cfg))
    out = [*part.rows["val"].tolist(), *part.rows["test"].tolist()]
    assert len(out) == 16
    assert predictions("poisoned", out) == clean
    assert predictions("taught", part.rows["train"][:1].tolist()) != clean


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["folds=1"], "folds must be a whole number from 2 to 10000 or null, found 1"),
        (["ensemble=two"], "ensemble must be a whole number from 2 to 10000 or null, found 'two'"),
        (["fold=1"], "fold=1 needs folds above it, as in folds=5 fold=0, found folds=null"),
        (["folds=3", "fold=3"], "fold=3 needs folds above it, as in folds=5 fold=0, found folds=3"),
        (["folds=3", "ensemble=2"], "folds=3 and ensemble=2: the models of folds are an ensemble, leave one out"),
        (["objective=oof/mse"], "objective=oof/mse is over the rows that folds leave out, expected folds=5 with it"),
    ],
)
def test_what_does_not_go_together(overrides: list[str], said: str) -> None:
    """One line before anything is read."""
    cfg = composed(*overrides)
    settle(cfg)
    with pytest.raises(UserError) as error:
        check(cfg)
    assert str(error.value) == said
