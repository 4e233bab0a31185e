"""Every row of CONTRIBUTING.md's table, performed in a copy of the repository, in the files that it names."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.extend.additions import ADDITIONS, PACKAGE

ROOT = Path(__file__).parents[2]
SWEEP = ("-m", "hydra/launcher=stacked", "hydra.launcher.width=8")
# Each is a command of the copy; one process calls them all, for imports take longer than they do.
COMMANDS: dict[str, tuple[str, ...]] = {
    "alone": ("train", "experiment=parabolas", "seed=2", "hydra.run.dir=alone"),
    "evaluate": ("evaluate", "run=alone", "trust=mine"),
    "stacked": ("train", *SWEEP, "experiment=parabolas", "seed=1,2,3", "hydra.sweep.dir=stacked"),
    "worst": (
        *("train", *SWEEP, "experiment=parabolas", "sweep=worst", "hydra.sweep.dir=worst"),
        *("trainer.max_epochs=5", "callbacks=default"),
    ),
    "wrong way": ("train", "sweep=worst", "data.val_fraction=0.25", "hydra.sweeper.direction=maximize"),
    "wrong name": ("train", "objective=val/maxerror"),
    "wrong width": ("train", "model=gated", "model.width=0"),
    "activations": (
        *("train", *SWEEP, "model=mlp", "model.activation=relu,softplus", "model.hidden=[4]"),
        *("hydra.sweep.dir=activations", "trainer.max_epochs=3", "logger=none"),
    ),
    "callback": ("train", "callbacks=seen", "hydra.run.dir=callback", "trainer.max_epochs=3", "logger=none"),
    "untold": (
        *("train", *SWEEP, "model=gated", "optimizer=lion", "optimizer._target_=mine.Normed", "seed=0,1"),
        *("hydra.sweep.dir=untold", "trainer.max_epochs=3", "logger=none"),
    ),
    "evaluate callback": ("evaluate", "run=callback"),
}
DRIVER = """
import json, os, sys
from pathlib import Path

sys.path.insert(0, {root!r})
import tests.commands as doors
sys.path.remove({root!r})

codes = {{}}
for number, (name, arguments) in enumerate(json.loads(sys.argv[1]).items()):
    sys.stdout.flush(); sys.stderr.flush()
    for stream, end in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{{number}}.{{end}}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    codes[name] = doors.run_here(*arguments)
Path("codes.json").write_text(json.dumps(codes))
"""


@dataclass(frozen=True)
class Copy:
    """The repository with every addition, and what its commands came to, by name: their exit codes and words."""

    path: Path
    codes: dict[str, int]
    said: dict[str, str]

    def summary(self, run: str) -> dict[str, Any]:
        """summary.json of a run."""
        return json.loads((self.path / run / "summary.json").read_text())

    def leaderboard(self, sweep: str) -> list[dict[str, str]]:
        """Its rows."""
        with (self.path / sweep / "leaderboard.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def rows() -> dict[str, tuple[str, str]]:
    """CONTRIBUTING.md's table: what to add, the code that changes and the configuration."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| to add |") : text.index("## Layers")]
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()]
    return {cells[0]: (cells[1], cells[2]) for cells in lines[2:]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """All additions at once, and all commands."""
    root = tmp_path_factory.mktemp("extended")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    library = root / "library"
    library.mkdir()
    for name, text in PACKAGE.items():
        (library / name).write_text(text)
    for files in ADDITIONS.values():
        for name, edit in files.items():
            edit.apply(root / name)
    places = os.pathsep.join(map(str, (root, root / "src" / "plugins", library)))
    driver = DRIVER.format(root=str(ROOT))
    process = subprocess.run(
        [sys.executable, "-c", driver, json.dumps(COMMANDS)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = {n: "".join((root / f"{i}.{end}").read_text() for end in ("out", "err")) for i, n in enumerate(COMMANDS)}
    assert process.returncode == 0, process.stderr + "".join(said.values())
    yield Copy(root, json.loads((root / "codes.json").read_text()), said)
    shutil.rmtree(root, ignore_errors=True)


def test_every_row_is_performed_in_the_files_that_it_names() -> None:
    table = rows()
    assert set(table) == set(ADDITIONS)
    for what, files in ADDITIONS.items():
        code, configuration = table[what]
        named = re.findall(r"(?:src|conf)/[\w./]+", f"{code} {configuration}")
        patterns = [re.compile(name.rstrip(".").replace(".", r"\.").replace("NAME", r"\w+")) for name in named]
        assert len(files) == len(named), f"{what}: touches {list(files)}, CONTRIBUTING names {named}"
        assert all(any(pattern.fullmatch(name) for pattern in patterns) for name in files), what
        assert sum(name.startswith("src/") for name in files) <= 1
        assert sum(name.startswith("conf/") for name in files) <= 1


def test_alone(copy: Copy) -> None:
    """Net, loss, optimizer, scheduler, source, metric, figure and reason to stop."""
    summary = copy.summary("alone")
    assert copy.codes["alone"] == 0, copy.said["alone"]
    assert summary["status"] == "target reached"
    assert summary["epochs"] < 40
    assert summary["metrics"]["val/max_error"] < 1.0 <= summary["metrics"]["val/max_error"] * 3
    assert summary["metrics"]["val/mae"] < summary["metrics"]["val/max_error"]
    assert "max_error" in copy.said["alone"]
    assert "plain path" not in copy.said["alone"]
    assert {path.name for path in (copy.path / "alone" / "figures").glob("*.png")} >= {"losses.png", "curves.png"}


def test_evaluate(copy: Copy) -> None:
    """Whose folder names a loss and an optimizer of a package is opened by a flag."""
    assert copy.codes["evaluate"] == 0, copy.said["evaluate"]
    shown = f"{copy.summary('alone')['metrics']['val/max_error']:.6g}"
    assert shown in copy.said["evaluate"]


def test_stacked(copy: Copy) -> None:
    """The same run as a member, and a leaderboard with everything that was added."""
    assert copy.codes["stacked"] == 0, copy.said["stacked"]
    assert "as one stack: 3 jobs that differ in seed" in copy.said["stacked"]
    alone, member = copy.summary("alone"), copy.summary("stacked/1")
    for key in ("status", "epochs", "steps", "best_epoch"):
        assert alone[key] == member[key]
    assert alone["metrics"] == pytest.approx(member["metrics"], rel=1e-4)
    board = copy.leaderboard("stacked")
    assert [row["rank"] for row in board] == ["1"] * 3  # one group of seeds
    assert {row["status"] for row in board} <= {"target reached", "completed"}
    assert all(float(row["val/max_error"]) > 0 and row["command"].startswith("python -m src.train") for row in board)
    assert "3 target reached" in copy.said["stacked"] or "target reached" in copy.said["stacked"]


def test_a_sweep_after_the_new_metric(copy: Copy) -> None:
    assert copy.codes["worst"] == 0, copy.said["worst"]
    board = copy.leaderboard("worst")
    values = [float(row["objective"]) for row in board]
    assert len(values) == 4
    assert values == sorted(values)
    assert values == [float(row["val/max_error"]) for row in board]
    assert "one by one" not in copy.said["worst"]
    assert copy.codes["wrong way"] == 2
    assert "objective=val/max_error needs hydra.sweeper.direction=minimize" in copy.said["wrong way"]
    assert copy.codes["wrong name"] == 2
    assert "mse, rmse, mae, max_error or r2" in copy.said["wrong name"]


def test_the_rest(copy: Copy) -> None:
    """An activation in a stack, a callback, a bound, and a folder that may name what was listed."""
    assert copy.codes["activations"] == 0, copy.said["activations"]
    assert "as one stack: 2 jobs that differ in model.activation" in copy.said["activations"]
    assert "seen by a callback of one's own" in copy.said["callback"]
    assert "model.width must be a whole number from 1 on, found 0" in copy.said["wrong width"]
    assert copy.codes["evaluate callback"] == 0, copy.said["evaluate callback"]


def test_an_optimizer_that_is_not_element_wise_trains_alone(copy: Copy) -> None:
    assert copy.codes["untold"] == 0, copy.said["untold"]
    said = "one by one: #0, #1: mine.Normed is not seen to update each number by itself"
    assert said in copy.said["untold"]
    assert copy.summary("untold/1")["status"] == "completed"
