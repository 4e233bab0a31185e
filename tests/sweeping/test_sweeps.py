"""Whole sweeps through the door, in this process."""

import csv
import json
import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from src.sweeping.storage import forget, location, open_storage
from tests.commands import run_here
from tests.faults.process import Forked, warm
from tests.faults.same import differences

Command = Callable[..., int]
SHORT = ("trainer.max_epochs=5", "logger=none")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Command]:
    """``python -m src.train -m`` in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*overrides: str) -> int:
        forget()
        return run_here("train", "-m", *overrides)

    yield run
    forget()


def board(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_failed_and_diverged_trials_are_results(command: Command, tmp_path: Path, capsys: Any) -> None:
    line = ["hydra/sweeper=durable", "hydra.sweeper.study_name=s", "hydra/sweeper/sampler=grid", *SHORT]
    line += ["optimizer.lr=0.01,0.02,9e9", "optimizer.momentum=0,2"]
    assert command(*line, "trainer.max_epochs=40") == 0
    folder = tmp_path / "outputs" / "sweeps" / "s"
    rows = board(folder)
    assert [row["status"] for row in rows] == [
        "completed",
        "completed",
        "diverged",
        "failed",
        "failed",
        "failed",
    ]
    assert [row["rank"] for row in rows] == ["1", "2", "", "", "", ""]
    assert "optimizer.momentum must be a number from 0 to below 1, found 2" in rows[-1]["message"]
    assert all((folder / row["folder"] / ".hydra").is_dir() for row in rows)
    said = capsys.readouterr().out
    best = json.loads((folder / "sweep.json").read_text())["commands"]["train the best again"]
    assert f"optimizer.lr={rows[0]['optimizer.lr']}" in best
    assert best in said
    # Again: everything is done, nothing runs.
    before = (folder / "0" / "summary.json").stat().st_mtime_ns
    assert command(*line, "trainer.max_epochs=40") == 0
    assert (folder / "0" / "summary.json").stat().st_mtime_ns == before
    assert len(board(folder)) == 6


def test_a_sweep_whose_first_trials_all_fail_stops_with_its_leaderboard(command: Command, tmp_path: Path) -> None:
    line = ["sweep=lr", "optimizer.momentum=2", *SHORT]
    assert command(*line) == 1
    rows = board(tmp_path / "outputs" / "sweeps" / "lr-cars")
    assert [row["status"] for row in rows] == ["failed"] * 3


def test_failures_in_a_row_stop_it_later(command: Command, tmp_path: Path) -> None:
    line = ["hydra/sweeper=durable", "hydra.sweeper.study_name=s", "hydra/sweeper/sampler=grid", *SHORT]
    line += ["optimizer.momentum=0,2,3,4,5,6", "hydra.sweeper.max_failures_in_a_row=4"]
    assert command(*line) == 1
    assert [row["status"] for row in board(tmp_path / "outputs" / "sweeps" / "s")] == ["completed"] + ["failed"] * 4


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import src.runs.fit as module

    line = ["sweep=lr", "hydra.sweeper.n_trials=4", *SHORT]
    assert command(*line, "hydra.sweep.dir=whole") == 0
    fit, calls = module.fit, []

    def stopped(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(module, "fit", stopped)
    assert command(*line) == 130
    folder = tmp_path / "outputs" / "sweeps" / "lr-cars"
    assert sorted(row["status"] for row in board(folder)) == ["completed", "completed", "waiting"]
    assert command(*line) == 0
    key = "optimizer.lr"
    assert {row[key] for row in board(folder)} == {row[key] for row in board(tmp_path / "whole")}
    assert [row["status"] for row in board(folder)] == ["completed"] * 4
    assert len(calls) == 5


def test_a_trial_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """And ends as the one that nobody killed does; the others are not touched."""
    short = ("model=mlp", "model.hidden=[8]", "data.batch_size=4", "trainer.steps_per_execution=1", "logger=none")
    sweep = ("-m", "sweep=lr", "hydra.sweeper.n_trials=2", "trainer.max_epochs=60", *short)
    often = "callbacks.checkpoints.every_n_epochs=5"
    warm()
    assert Forked(tmp_path, *sweep, often, "hydra.sweep.dir=whole").wait() == 0
    process = Forked(tmp_path, *sweep, often, "hydra.sweep.dir=hurt")
    assert process.until((tmp_path / "hurt/1/checkpoints/previous.ckpt").exists)
    process.kill()
    assert not (tmp_path / "hurt/1/summary.json").exists()
    first = (tmp_path / "hurt/0/summary.json").read_bytes()
    again = Forked(tmp_path, *sweep, often, "hydra.sweep.dir=hurt")
    assert again.wait() == 0, again.said()
    assert len(re.findall("goes on from its checkpoint", again.said())) == 1
    assert (tmp_path / "hurt/0/summary.json").read_bytes() == first
    for trial in ("0", "1"):
        assert differences(tmp_path / "hurt" / trial, tmp_path / "whole" / trial) == []


def test_another_base_is_refused_and_nothing_is_written(command: Command, tmp_path: Path, capsys: Any) -> None:
    line = ["sweep=lr", "hydra.sweeper.n_trials=1", "logger=none"]
    assert command(*line, "trainer.max_epochs=2") == 0
    folder = tmp_path / "outputs" / "sweeps" / "lr-cars"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    capsys.readouterr()
    assert command(*line, "trainer.max_epochs=3") == 2
    assert "trainer.max_epochs: 2 → 3" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.name.endswith(".lock")} == {
        path: time for path, time in before.items() if not path.name.endswith(".lock")
    }
    assert command(*line, "trainer.max_epochs=3", "study.new=true") == 0
    assert (tmp_path / "outputs" / "sweeps" / "lr-cars-before-1" / "0" / "summary.json").is_file()
    assert json.loads((folder / "0" / "summary.json").read_text())["epochs"] == 3


def test_the_same_search_on_other_rows_is_another_study(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my cars.csv").write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(20)))
    line = ["sweep=lr", "hydra.sweeper.n_trials=1", *SHORT]
    assert command(*line) == 0
    assert command(*line, "data=csv", "data.path='my cars.csv'", "data.target=b") == 0
    assert sorted(path.name for path in (tmp_path / "outputs" / "sweeps").iterdir()) == ["lr-cars", "lr-my-cars"]


@pytest.mark.parametrize(
    ("subdir", "said"), [("same", "gives two jobs one folder"), ("../${hydra.job.num}", "leads out of")]
)
@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_runs_that_would_share_a_folder_or_leave_the_sweeps_are_refused(
    launcher: str, subdir: str, said: str, command: Command, tmp_path: Path, capfd: Any
) -> None:
    assert command("seed=1,2", f"hydra/launcher={launcher}", f"hydra.sweep.subdir={subdir}", *SHORT) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_pruned_runs_end_early_and_keep_their_folder(command: Command, tmp_path: Path) -> None:
    line = ["sweep=lr", "hydra.sweeper.n_trials=8", "hydra/sweeper/pruner=median", "trainer.max_epochs=200"]
    line += ["hydra.sweeper.pruner.n_startup_trials=2", "logger=none"]
    assert command(*line) == 0
    folder = tmp_path / "outputs" / "sweeps" / "lr-cars"
    pruned = [row for row in board(folder) if row["status"] == "pruned"]
    assert pruned
    for row in pruned:
        summary = json.loads((folder / row["folder"] / "summary.json").read_text())
        assert summary["status"] == "pruned"
        assert 200 / 5 <= summary["epochs"] < 200
        assert (folder / row["folder"] / "checkpoints" / "last.ckpt").is_file()


def test_two_objectives(command: Command, tmp_path: Path) -> None:
    line = ["sweep=lr", "hydra/sweeper/sampler=nsgaii", "objective=[train/mse,train/mae]", *SHORT]
    assert command(*line, "hydra.sweeper.direction=[minimize,minimize]", "hydra.sweeper.n_trials=4") == 0
    rows = board(tmp_path / "outputs" / "sweeps" / "lr-cars")
    assert len(rows) == 4
    assert rows[0]["rank"] == "1"
    assert float(rows[0]["objective train/mae"]) == float(rows[0]["train/mae"])


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_no_number_is_the_worst_also_where_larger_is_better(
    durable: bool, command: Command, tmp_path: Path
) -> None:
    """r2 of one validation row is none."""
    line = ["data.val_fraction=0.03,0.25", "objective=val/r2", "hydra.sweep.dir=sweep", *SHORT]
    if durable:
        line += ["hydra/sweeper=durable", "hydra/sweeper/sampler=grid", "hydra.sweeper.direction=maximize"]
    assert command(*line) == 0
    rows = board(tmp_path / "sweep")
    assert [(row["folder"], row["rank"], row["status"]) for row in rows] == [
        ("1", "1", "completed"),
        ("0", "", "completed"),
    ]
    assert rows[1]["objective"] == "-inf"
    assert json.loads((tmp_path / "sweep" / "0" / "summary.json").read_text())["objective"]["value"] is None
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text())["best"]["folder"] == "1"
    if durable:
        study = optuna.load_study(study_name="linear-cars", storage=open_storage(location(None, tmp_path / "sweep")))
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
        assert (study.trials[0].value, study.best_trial.number) == (-math.inf, 1)


def test_a_plain_grid_gets_the_same_report(command: Command, tmp_path: Path) -> None:
    assert command("optimizer.lr=0.01,0.02", "seed=0,1", "hydra.sweep.dir=grid", *SHORT) == 0
    rows = board(tmp_path / "grid")
    assert [row["rank"] for row in rows] == ["1", "1", "2", "2"]
    assert rows[0]["seeds"] == "2"
    page = (tmp_path / "grid" / "report.html").read_text()
    assert not re.search(r"https?:", page)
    assert all(
        f'<section id="{part}">' in page for part in ("leaderboard", "importance", "slices", "parallel", "curves")
    )
    assert "Run 2, rank 1" in page
    assert "<code>python -m src.train -m optimizer.lr=0.01,0.02 seed=0,1 " in page


def test_a_sweep_that_hydra_refuses_leaves_nothing(command: Command, tmp_path: Path, capfd: Any) -> None:
    assert command("optimizer.foo=1,2") == 2
    assert list(tmp_path.iterdir()) == []
    assert "holds no runs" not in capfd.readouterr().err


@pytest.mark.parametrize("line", ["optimizer.lr=0.01,0.02", "sweep=lr"])
def test_a_folder_that_cannot_be_written_is_one_line(line: str, command: Command, tmp_path: Path, capfd: Any) -> None:
    (tmp_path / "outputs").write_text("a file")
    assert command(line) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("hydra.sweep.dir=outputs/sweeps/")


def test_a_foreign_folder_is_reported_on(tmp_path: Path, capsys: Any) -> None:
    from src.reports.report import report

    for number, lr in enumerate(("0.1", "0.2")):
        hydra = tmp_path / f"lr={lr}" / ".hydra"
        hydra.mkdir(parents=True)
        (hydra / "overrides.yaml").write_text(f"- lr={lr}\n- epochs=3\n")
        if number:
            objective = {"name": "loss", "value": 0.5}
            (hydra.parent / "summary.json").write_text(json.dumps({"status": "completed", "objective": objective}))
    rows = report(tmp_path)
    assert [(row.status, row.params) for row in rows] == [
        ("completed", {"lr": 0.2}),
        ("unfinished", {"lr": 0.1}),
    ]


def test_upstreams_sweeper_works_as_it_documents(command: Command, tmp_path: Path) -> None:
    line = [
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.n_jobs=1",
        "hydra.sweep.dir=theirs",
        *SHORT,
    ]
    assert command(*line, "optimizer.lr=interval(0.001,0.01)") == 0
    assert (tmp_path / "theirs" / "optimization_results.yaml").is_file()
    assert len(board(tmp_path / "theirs")) == 2


def _a_signal_at_the_end_of_a_training(number: int) -> Callable[[], None]:
    """It comes when nothing is left of the training of this number but to note how it ended."""

    def before() -> None:
        from src.training.epochs import Epochs

        finish, calls = Epochs.finish, []

        def late(self: Epochs, *arguments: Any) -> None:
            calls.append(self)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            finish(self, *arguments)

        Epochs.finish = late  # type: ignore[method-assign]

    return before


@pytest.mark.parametrize(
    ("line", "ended"),
    [
        (("-m", "seed=0,1,2", "hydra.sweep.dir=run"), ["0", "1"]),
        (("-m", "sweep=seeds", "hydra.sweeper.n_trials=3", "hydra.sweep.dir=run"), ["0", "1"]),
        (("-m", "hydra/launcher=stacked", "seed=0,1,2,3", "hydra.launcher.width=1", "hydra.sweep.dir=run"), ["0", "1"]),
        (("folds=3", "trainer.accumulate_grad_batches=2", "hydra.run.dir=run"), ["members/0", "members/1"]),
    ],
)
def test_a_signal_that_a_training_no_longer_hears_ends_the_sweep(
    tmp_path: Path, line: tuple[str, ...], ended: list[str]
) -> None:
    """It was forgotten, and the sweep went on to its end with exit code 0."""
    warm()
    process = Forked(
        tmp_path, *line, "logger=none", "trainer.max_epochs=2", before=_a_signal_at_the_end_of_a_training(2)
    )
    assert process.wait() == 128 + signal.SIGTERM, process.said()
    found = sorted(str(path.parent.relative_to(tmp_path / "run")) for path in tmp_path.glob("run/**/summary.json"))
    assert [name for name in found if name != "."] == ended
    assert "Traceback" not in process.said()
