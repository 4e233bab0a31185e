"""python -m src.runs: what is listed, ranked, compared and removed."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.runs.found import found
from src.runs.lock import claimed
from tests.commands import Answer, Call, ended, everything_under, start

Make = Callable[..., Path]
HYDRA = "hydra:\n  callbacks:\n    folders:\n      _target_: src.plugins.folders.Folders\n"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A run's folder as a run leaves it, a minute older than the one made before it."""
    monkeypatch.chdir(tmp_path)
    made: list[Path] = []

    def _make(name: str, status: str | None = "completed", value: float | None = 1.0, **more: Any) -> Path:
        folder = Path("outputs", name)
        (folder / ".hydra").mkdir(parents=True)
        (folder / "checkpoints").mkdir()
        model = more.get("model", "mlp")
        lr = more.get("lr", 0.1)
        config = f"name: {model}\nmodel:\n  _target_: src.models.{model}.Net\noptimizer:\n  lr: {lr}\n"
        (folder / ".hydra" / "config.yaml").write_text(config)
        (folder / ".hydra" / "hydra.yaml").write_text(HYDRA)
        (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
        (folder / "train.log").write_text("said\n")
        if status is not None:
            summary = {
                "status": status,
                "overrides": [f"optimizer.lr={lr}"],
                "metrics": {"val/mse": value},
                "objective": {"name": more.get("objective", "val/mse"), "value": value},
                "seconds": {"total": 1.5},
                "data": {"source": more.get("data", "cars"), "target": "mpg", "sha256": more.get("data", "cars") * 8},
                "environment": {"torch": more.get("torch", "2.13.0"), "threads": 1},
            }
            summary["data"]["splits"] = more.get("splits", {"train": 20, "val": 12})
            (folder / "summary.json").write_text(json.dumps(summary))
        os.utime(folder / ".hydra" / "config.yaml", (time.time() - 60 * len(made),) * 2)
        made.append(folder)
        return folder

    return _make


def listed(answer: Answer) -> list[str]:
    """The folders of a list, in its order."""
    assert answer.code == 0, answer.err
    return [line.split("outputs/", 1)[1] for line in answer.out.splitlines() if "outputs/" in line]


def test_a_list_is_newest_first_and_filtered(make: Make, call: Call) -> None:
    make("train/d/1", value=3.0)
    make("train/d/2", "failed", None, model="linear")
    make("train/d/3", None)
    make("own", value=2.0, data="data/houses.csv", model="resnet")
    assert listed(call("runs")) == ["train/d/1", "train/d/2", "train/d/3", "own"]
    assert listed(call("runs", "limit=2")) == ["train/d/1", "train/d/2"]
    assert listed(call("runs", "model=linear")) == ["train/d/2"]
    assert listed(call("runs", "status=unfinished")) == ["train/d/3"]
    for name in ("data/houses.csv", "houses.csv", "houses"):
        assert listed(call("runs", f"data={name}")) == ["own"]
    head, first = call("runs").out.splitlines()[:2]
    assert head.split() == ["status", "model", "data", "objective", "value", "seconds", "folder"]
    assert first.split() == ["completed", "mlp", "cars", "val/mse", "3", "1.50", "outputs/train/d/1"]
    with claimed(Path("outputs/new"), "new"):
        Path("outputs/new/.hydra").mkdir()
        assert listed(call("runs", "status=running")) == ["new"]
    assert call("runs", "model=table").out == "outputs: there are no such runs\n"


def test_only_what_is_comparable_is_ranked_together(make: Make, call: Call) -> None:
    """The same rows, split alike, and the same figure, in the figure's own direction; others have no rank."""
    make("a", value=3.0)
    make("b", value=2.0)
    make("other_rows", value=0.1, data="houses")
    make("other_split", value=0.2, splits={"train": 16, "val": 16})
    make("r2_low", value=0.5, objective="val/r2")
    make("r2_high", value=0.9, objective="val/r2")
    make("failed", "failed", None)
    make("pruned", "pruned", 0.01)
    lines = call("runs", "sort=objective").out.splitlines()
    ranks = {line.split("outputs/")[1]: line.split()[0] for line in lines if "outputs/" in line}
    assert ranks == {"b": "1", "a": "2", "other_rows": "1", "other_split": "1", "r2_high": "1", "r2_low": "2"}
    assert lines[0] == "val/mse of mpg, cars (carscars), rows: 20 train, 12 val"
    assert lines[-1] == "2 without a result"


def test_a_sweep_stands_for_its_best_run(make: Make, call: Call) -> None:
    """In one line; its folder lists its trials, of which none is removed. tests/api has one that ran."""
    for number, status in enumerate(("completed", "completed", "failed")):
        make(f"sweeps/s/{number}", status, [3.0, 2.0, None][number], model="linear" if number == 1 else "mlp")
    sweep = Path("outputs/sweeps/s")
    (sweep / "multirun.yaml").write_text("hydra: {}\n")
    assert [each.statuses for each in found(Path("outputs"))] == [{"completed": 2, "failed": 1}]
    said = {"runs": {"completed": 2, "failed": 1}, "best": {"folder": "1", "values": [2.0]}}
    (sweep / "sweep.json").write_text(json.dumps(said))
    (sweep / "leaderboard.csv").write_text("rank,seconds\n1,1.5\n2,2\n,\n")
    [one] = found(Path("outputs"))
    assert (one.status, one.model, one.value, one.seconds) == ("2 completed, 1 failed", "linear", 2.0, 3.5)
    assert listed(call("runs", "status=completed")) == listed(call("runs", "status=failed")) == ["sweeps/s"]
    assert sorted(listed(call("runs", "folder=outputs/sweeps/s"))) == ["sweeps/s/0", "sweeps/s/1", "sweeps/s/2"]
    assert call("runs", "clean=failed", "yes=true").out == "outputs: there is nothing to remove\n"
    answer = call("runs", "folder=outputs/sweeps/s", "clean=failed", "yes=true")
    assert (answer.code, "is a sweep's" in answer.err) == (2, True)
    outside = make("outside", model="resnet")
    (sweep / "sweep.json").write_text(json.dumps(said | {"best": {"folder": f"../../{outside.name}"}}))
    assert {each.path: each.model for each in found(Path("outputs"))} == {sweep: "", outside: "resnet"}


def test_what_two_runs_differ_in(make: Make, call: Call) -> None:
    """Each value that differs, and none that does not."""
    make("a", value=3.0, lr=0.1)
    make("b", value=2.0, lr=0.5, torch="2.14.0")
    answer = call("runs", "diff=[outputs/a,outputs/b]")
    cells = {tuple(line.split()) for line in answer.out.splitlines() if line}
    assert cells == {
        ("overrides", "outputs/a", "outputs/b"),
        ("optimizer.lr", "0.1", "0.5"),
        ("configuration", "outputs/a", "outputs/b"),
        ("result", "outputs/a", "outputs/b"),
        ("metrics.val/mse", "3", "2"),
        ("environment", "outputs/a", "outputs/b"),
        ("torch", "2.13.0", "2.14.0"),
    }
    assert call("runs", "diff=[outputs/a,outputs/a]").out == "they differ in nothing\n"


def test_only_folders_of_ours_are_removed(make: Make, call: Call, tmp_path: Path) -> None:
    """Whole, with the days that they leave empty; nothing of anybody else's, through no link, and not at work."""
    good = make("train/d/good")
    gone = make("train/e/gone", "failed", None)
    work = make("work", "failed", None)
    notes = make("notes", "failed", None)
    (notes / "notes.txt").write_text("mine\n")
    foreign = make("foreign", "failed", None)
    (foreign / ".hydra" / "hydra.yaml").write_text("hydra: {}\n")
    linked = make("linked", "failed", None)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept\n")
    (linked / "figures").symlink_to(tmp_path / "precious")
    (tmp_path / "days").mkdir()
    away = make("away", "failed", None).rename(tmp_path / "days" / "away")
    Path("outputs", "days").symlink_to(away.parent)
    with claimed(work, "work", again=["optimizer.lr=0.1"]):
        answer = call("runs", "clean=failed", "yes=true")
    assert answer.code == 0, answer.err
    assert f"removes  {gone}" in answer.out
    assert answer.out.endswith("removed 1\n")
    assert not gone.parent.exists()
    assert "days" not in answer.out
    for folder in (good, work, notes, foreign, linked, away):
        assert (folder / "train.log").exists(), folder
        assert (f"kept     {folder}" in answer.out) == (folder not in (good, away))
    assert everything_under(tmp_path / "precious") == {"file"}


@pytest.mark.parametrize(("typed", "left"), [("yes\n", False), ("no\n", True), ("\n", True)])
def test_somebody_is_asked(typed: str, left: bool, make: Make, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is a terminal."""
    folder = make("a", "failed", None)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: typed)
    assert call("runs", "clean=failed").code == 0
    assert folder.exists() is left


def test_where_nobody_can_be_asked_nothing_is_removed(make: Make, tmp_path: Path) -> None:
    """And it needs no torch for that."""
    folder = make("a", "failed", None)
    program = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('heavy:', {'torch', 'lightning', 'pandas', 'optuna'} & set(sys.modules)))\n"
        "runpy.run_module('src.runs', run_name='__main__', alter_sys=True)\n"
    )
    answer = ended(start(tmp_path, "-c", program, "clean=failed"))
    assert answer.code == 2
    assert answer.lines == ["nobody can be asked here, so nothing was removed: yes=true removes them"]
    assert "heavy: set()" in answer.out
    assert folder.exists()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("statu=failed", "statu: there is no such key; did you mean status?"),
        ("status=fail", "status=fail: no run ends so; did you mean 'failed'?"),
        ("sort=objectiv", "sort=objectiv: there is no such order; did you mean 'objective'?"),
        ("limit=0", "limit must be a whole number from 1 on, found 0"),
        ("clean=completed", "clean=completed: expected runs without a result"),
        ("diff=[outputs/a]", "diff must be two runs, as in diff=[A,B]"),
        ("diff=[outputs/a,outputs/z]", "diff=outputs/z: no such folder"),
        ("folder=z", "folder=z: there is no such folder"),
    ],
)
def test_mistakes_are_a_line(argument: str, said: str, make: Make, call: Call) -> None:
    make("a")
    answer = call("runs", argument)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert answer.lines[0].startswith(said)


def test_a_damaged_folder_is_listed(make: Make, call: Call) -> None:
    """Files that are torn or no text are no reason to fail."""
    folder = make("a")
    (folder / "summary.json").write_text('{"status": ')
    (folder / ".hydra" / "config.yaml").write_bytes(b"\xff\xfe\0")
    assert listed(call("runs")) == ["a"]
