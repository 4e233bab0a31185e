"""Pictures of a sweep's runs together, and what its report tells to do next."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from src.reports import report as reports
from src.reports.compare import compare
from src.reports.leaderboard import Row
from src.runs.folder import RunFolder
from tests.commands import Call
from tests.compose import trained

SHORT = ("trainer.max_epochs=3", "logger=none", "figures=false")
PICTURES = {"fits.png", "loss_by_epoch.png", "loss_by_step.png"}


@pytest.mark.parametrize("sweeper", ["durable", "optuna", "basic"])
def test_every_kind_of_sweep_has_the_same_pictures(call: Call, tmp_path: Path, sweeper: str) -> None:
    search = ("optimizer.lr=0.01,0.02",)
    if sweeper != "basic":
        trials = ("hydra.sweeper.n_trials=2", "hydra/sweeper/sampler=random")
        search = (f"hydra/sweeper={sweeper}", "optimizer.lr=interval(0.01,0.02)", *trials)
    answer = call("train", "-m", *search, *SHORT, "hydra.sweep.dir=sweep")
    assert answer.code == 0
    assert {path.name for path in (tmp_path / "sweep" / "figures").iterdir()} == PICTURES
    assert "left out" not in answer.out


def swept(folder: Path, rates: list[float]) -> list[Row]:
    """Runs of a sweep, best first."""
    rows = []
    for number, rate in enumerate(rates):
        summary = trained(folder / str(number), *SHORT, f"optimizer.lr={rate}")
        rows.append(Row(str(number), summary["status"], {"optimizer.lr": rate}, number=number))
    return rows


def test_of_many_runs_the_best_are_drawn_in_the_order_of_what_was_varied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("src.reports.compare._MOST", 3)
    monkeypatch.setattr(
        "src.figures.sweep.compare_curves", lambda runs, by, title, graded: seen.update(runs=runs, said=(title, graded))
    )
    monkeypatch.setattr("src.figures.canvas.png", lambda figure: b"")
    compare(tmp_path, swept(tmp_path, [0.03, 0.01, 0.02, 0.001]), "rates")
    assert list(seen["runs"]) == ["lr=0.01", "lr=0.02", "lr=0.03"]
    assert seen["said"] == ("rates: the best 3 of 4 runs", True)


def test_a_run_that_went_away_leaves_the_pictures(tmp_path: Path) -> None:
    """What is drawn is the others."""
    rows = swept(tmp_path, [0.01, 0.02, 1e12])
    assert rows[-1].status == "diverged"
    compare(tmp_path, rows, "rates")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == PICTURES


def test_a_picture_that_cannot_be_drawn_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("src.figures.sweep.compare_fits", broken)
    compare(tmp_path, swept(tmp_path, [0.01, 0.02]), "rates")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == PICTURES - {"fits.png"}
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "figures/fits.png is left out: RuntimeError: no ink"
    ]


def grid(folder: Path, runs: int) -> Path:
    """A multirun's folder of so many finished runs, without training them."""
    for number in range(runs):
        run = RunFolder(folder / str(number))
        run.config.parent.mkdir(parents=True)
        OmegaConf.save({}, run.config)
        aim = {"name": "val/mse", "value": float(number)}
        run.write_summary({"status": "completed", "overrides": [f"seed={number}"], "objective": aim})
    return folder


@pytest.mark.parametrize("installed", [True, False])
def test_the_dashboard_is_offered_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, installed: bool
) -> None:
    monkeypatch.setattr(reports, "find_spec", lambda name: object() if installed else None)
    reports.report(grid(tmp_path, 2))
    said = next(line for line in capsys.readouterr().out.splitlines() if "optuna-dashboard" in line)
    assert said.startswith("dashboard: optuna-dashboard /") == installed
    assert ("pip install optuna-dashboard" in said) != installed


@pytest.mark.parametrize(("runs", "filtered"), [(40, False), (41, True)])
def test_more_runs_than_tensorboard_shows_come_with_a_filter(
    tmp_path: Path, capsys: Any, runs: int, filtered: bool
) -> None:
    reports.report(grid(tmp_path, runs))
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("curves: tensorboard"))
    assert ("^(0|1|2|3|4)$" in said) == filtered
