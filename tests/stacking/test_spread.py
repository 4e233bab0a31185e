"""Stacks that other processes train: of this machine, and of a Ray."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.stacks.workers import cut
from tests.stacking.conftest import Sweep, read, stacked

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("groups", "others", "workers", "pieces"),
    [
        ([range(8)], [], 2, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ([range(5)], [9], 2, [[0, 1, 2], [3, 4], [9]]),
        ([range(3), range(3, 10)], [], 2, [[3, 4, 5, 6, 7, 8, 9], [0, 1, 2]]),
        ([range(4)], [], 100, [[0, 1], [2, 3]]),
        ([], [1, 2], 4, [[1], [2]]),
    ],
)
def test_no_worker_is_idle_and_no_stack_is_of_one(groups: Any, others: Any, workers: int, pieces: Any) -> None:
    assert cut(groups, others, workers) == pieces


def test_workers_come_to_what_one_process_does(tmp_path: Path, sweep: Sweep) -> None:
    line = stacked("seed=range(4)", "optimizer=adam")
    sweep("one", *line)
    said = sweep("workers", *line, "hydra.launcher.workers=1")
    assert "by 1 workers" in said
    assert "as one stack: 4 jobs that differ in seed" in said
    for number in "0123":
        one, other = (read(tmp_path / kind / number) for kind in ("one", "workers"))
        assert (one["metrics"], one["overrides"]) == (other["metrics"], other["overrides"])


def test_ray_that_is_not_installed_is_one_line(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydra_plugins.plumbline_stacked.find_spec", lambda name: None)
    said = sweep("none", *stacked("seed=1,2", "hydra.launcher.workers=ray"), code=2)
    assert said.splitlines()[-1] == "hydra.launcher.workers=ray needs the package ray: pip install 'plumbline[ray]'"


@pytest.mark.ray
@pytest.mark.parametrize(
    "launcher",
    [
        ["hydra/launcher=stacked", "hydra.launcher.workers=ray", "+hydra.launcher.ray.num_cpus=2"],
        ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "hydra.sweeper.n_jobs=2"],
    ],
    ids=["stacks", "jobs"],
)
def test_a_durable_sweep_over_a_ray_of_two_workers(launcher: list[str], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'plumbline[ray]'")
    line = [sys.executable, "-m", "src.train", "-m", "sweep=lr", "logger=none", "trainer.max_epochs=5"]
    line += ["hydra.sweeper.n_trials=6", "--config-path", str(ROOT / "conf"), *launcher]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [tmp_path / "outputs" / "sweeps" / "lr-cars" / str(number) for number in range(6)]
    assert [json.loads((run / "summary.json").read_text())["status"] for run in runs] == ["completed"] * 6
    if "stacked" in launcher[0]:
        assert ["trained as one of 3 jobs" in (run / "train.log").read_text() for run in runs] == [True] * 6
