"""The launcher: Hydra's own suites, mixed sweeps against the basic launcher, and a kill in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra_plugins.plumbline_stacked import StackedLauncher

ROOT = Path(__file__).parents[2]


def test_hydra_finds_the_launcher() -> None:
    assert "StackedLauncher" in [each.__name__ for each in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize("width", [0, -1, "many", True, 1.5])
def test_a_width_or_batch_that_is_none_is_refused(width: object) -> None:
    with pytest.raises(ValueError, match=r"hydra\.launcher\.width must be auto or"):
        StackedLauncher(width, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"hydra\.launcher\.batch must be a whole number"):
        StackedLauncher("auto", width)  # type: ignore[arg-type]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("stacked", [])])
@pytest.mark.hydra
class TestStackedLauncher(LauncherTestSuite):
    """Hydra's suite for launchers; none of its jobs can be stacked."""


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({"defaults": [{"override hydra/launcher": "stacked"}]}, ["-m"])],
)
@pytest.mark.hydra
class TestStackedLauncherIntegration(IntegrationTestSuite):
    """Hydra's integration suite."""


def sweep(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "src.train", "-m", f"hydra.sweep.dir={folder}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)


def test_a_mixed_sweep_equals_the_basic_launchers(tmp_path: Path) -> None:
    wanted = [
        "optimizer.lr=0.01,0.02,9.0",
        "model=linear,scratch",
        "seed=0,1",
        "data.val_fraction=0.25",
        "trainer.max_epochs=40",
    ]
    basic = sweep(tmp_path / "basic", *wanted)
    stacked = sweep(tmp_path / "stacked", "hydra/launcher=stacked", *wanted)
    assert "as one stack: 6 jobs that differ in" in stacked.stdout
    assert "Launching 12 jobs" in basic.stdout
    for number in range(12):
        one, other = (tmp_path / kind / str(number) for kind in ("basic", "stacked"))
        assert _names(one) == _names(other)
        first, second = (json.loads((f / "summary.json").read_text()) for f in (one, other))
        assert list(first) == list(second)
        for key in ("status", "command", "overrides", "seed", "epochs", "steps", "data", "reference"):
            assert first[key] == second[key], key
        assert first["objective"]["name"] == second["objective"]["name"]
        values = [each["objective"]["value"] for each in (first, second)]
        assert values == [None, None] or values[0] == pytest.approx(values[1], rel=1e-5)
        assert first["metrics"] == pytest.approx(second["metrics"], rel=1e-5, abs=1e-6)
        for name in ("config", "overrides"):
            texts = [yaml.safe_load((f / ".hydra" / f"{name}.yaml").read_text()) for f in (one, other)]
            assert texts[0] == texts[1]


def _names(folder: Path) -> list[str]:
    """The files of a run; an event file's own name holds the time."""
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted("events" if path.startswith("events.out.tfevents.") else path for path in paths)


def test_jobs_that_fit_no_stack_are_named_and_run(tmp_path: Path) -> None:
    found = sweep(
        tmp_path, "hydra/launcher=stacked", "optimizer.lr=0.01,0.02", "trainer.steps_per_execution=1,auto",
        "trainer.max_epochs=3",
    )  # fmt: skip
    assert "one by one: #0, #2: trainer.steps_per_execution=1 asks for it" in found.stdout
    assert "as one stack: 2 jobs that differ in optimizer.lr" in found.stdout
    assert all((tmp_path / str(number) / "summary.json").is_file() for number in range(4))


def test_one_wrong_value_is_reported_as_a_lone_run_reports_it(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "src.train",
        "-m",
        f"hydra.sweep.dir={tmp_path}",
        "hydra/launcher=stacked",
        "optimizer.lr=0.01,0.02,-1",
        "trainer.max_epochs=3",
    ]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert found.returncode != 0
    assert "optimizer.lr must be a number above 0" in found.stderr + found.stdout
    assert json.loads((tmp_path / "0" / "summary.json").read_text())["status"] == "completed"


def test_kill_in_the_middle_keeps_finished_members(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "src.train",
        "-m",
        f"hydra.sweep.dir={tmp_path}",
        "hydra/launcher=stacked",
        "hydra.launcher.width=4",
        "seed=range(40)",
        "trainer.max_epochs=4000",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (tmp_path / "5" / "summary.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = [path for path in tmp_path.iterdir() if (path / "summary.json").is_file()]
    assert 6 <= len(done) < 40
    for path in done:
        summary = json.loads((path / "summary.json").read_text())
        assert summary["status"] == "completed"
        assert (path / "checkpoints" / "last.ckpt").is_file()
        assert len((path / "metrics.csv").read_text().splitlines()) == 4001
