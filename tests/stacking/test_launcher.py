"""The launcher: Hydra's own suites, mixed sweeps against the basic launcher, faults, and a kill in the middle."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite
from hydra_plugins.plumbline_stacked import StackedLauncher

from src.runs.folder import RunFolder
from src.stacks.stack import Group
from tests.commands import ended, run_here, start
from tests.faults.rerun import TOLERANCE, gap, rerun
from tests.stacking.conftest import Sweep, read, stacked

# Hydra's suites put back, after each test, what they found before it: the plugins have to be found by then.
Plugins.instance()


def test_hydra_finds_the_launcher() -> None:
    assert "StackedLauncher" in [each.__name__ for each in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize("width", [0, -1, "many", True, 1.5])
def test_a_width_or_batch_that_is_none_is_refused(width: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        StackedLauncher(width, 1)  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("hydra.launcher.width must be auto or a whole number from 1 on, found ")
    with pytest.raises(SystemExit, match="2"):
        StackedLauncher("auto", width)  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("hydra.launcher.batch must be a whole number from 1 on, found ")


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


def test_members_of_several_targets_are_runs_alone(tmp_path: Path, sweep: Sweep) -> None:
    """Whose rows and starts differ; those of other targets are a stack of their own."""
    own = ("data.target=[mpg,hp],[hp,mpg]", "data.features=[wt,qsec]", "data.val_fraction=0.3", "model=mlp")
    wanted = [*own, "model.start=least_squares", "optimizer=adam", "seed=0,1", "figures=false"]
    said = sweep("stacked", *stacked(*wanted))
    assert said.count("as one stack: 2 jobs") == 2
    sweep("alone", "logger=none", "trainer.max_epochs=3", *wanted)
    for number in range(4):
        one, other = (read(tmp_path / name / str(number)) for name in ("stacked", "alone"))
        assert one["overrides"] == other["overrides"]
        assert one["data"]["target"] in (["mpg", "hp"], ["hp", "mpg"])
        assert one["metrics"] == pytest.approx(other["metrics"], rel=1e-4), number
        assert len(one["metrics"]) == 2 * 4 * 3


def test_a_mixed_sweep_equals_the_basic_launchers(tmp_path: Path, sweep: Sweep) -> None:
    wanted = [
        "optimizer.lr=0.02,9.0",
        "model=linear,scratch",
        "seed=0,1",
        "data.val_fraction=0.25",
        "trainer.max_epochs=40",
    ]
    sweep("basic", *wanted)
    said = sweep("stacked", "hydra/launcher=stacked", *wanted)
    assert "as one stack: 4 jobs that differ in" in said
    assert "one by one" not in said
    for number in range(8):
        one, other = (tmp_path / kind / str(number) for kind in ("basic", "stacked"))
        assert _names(one) == _names(other)
        first, second = read(one), read(other)
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


def test_jobs_that_fit_no_stack_are_named_and_run(tmp_path: Path, sweep: Sweep) -> None:
    said = sweep("sweep", *stacked("optimizer.lr=0.01,0.02", "trainer.steps_per_execution=1,auto"))
    assert "one by one: #0, #2: trainer.steps_per_execution=1 asks for it" in said
    assert "as one stack: 2 jobs that differ in optimizer.lr" in said
    assert all((tmp_path / "sweep" / str(number) / "summary.json").is_file() for number in range(4))


def test_a_grid_is_composed_once_and_a_wrong_key_still_ends_it_at_once(
    tmp_path: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = ConfigLoaderImpl.load_sweep_config, []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return whole(*arguments, **options)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    sweep("sweep", *stacked("seed=range(6)"))
    assert len(calls) == 3, "one before there is a folder, the first job, and the one that is held against Hydra's own"
    assert "optimizer.foo" in sweep("wrong", *stacked("seed=0,1", "optimizer.foo=1"), code=2)
    assert not list((tmp_path / "wrong").glob("*/summary.json"))


def test_one_wrong_value_is_reported_as_a_lone_run_reports_it(tmp_path: Path, sweep: Sweep) -> None:
    assert "optimizer.lr must be a number above 0" in sweep("sweep", *stacked("optimizer.lr=0.01,0.02,-1"), code=2)
    assert read(tmp_path / "sweep" / "0")["status"] == "completed"


def test_an_error_in_a_stack_costs_neither_its_members_nor_the_sweep(
    tmp_path: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = Group._train, []

    def faulty(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise IndexError("index 7 is out of bounds")
        return whole(*arguments)

    monkeypatch.setattr(Group, "_train", faulty)
    said = sweep("sweep", *stacked("seed=range(6)", "hydra.launcher.width=2"))
    assert "one by one: #2, #3, #4, #5: IndexError: index 7 is out of bounds" in said
    assert [read(tmp_path / "sweep" / str(number))["status"] for number in range(6)] == ["completed"] * 6


@pytest.mark.parametrize("error", ["CUDA out of memory", "[enforce fail] DefaultCPUAllocator: can't allocate memory"])
def test_a_stack_that_memory_does_not_take_is_halved(
    error: str, tmp_path: Path, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Group._train

    def scarce(group: Group, places: list[int], *rest: Any) -> Any:
        if len(places) > 2:
            raise RuntimeError(error)
        return whole(group, places, *rest)

    monkeypatch.setattr(Group, "_train", scarce)
    said = sweep("sweep", *stacked("seed=range(6)"))
    assert "a stack of 6 ran out of memory; going on with 3 at a time" in said
    assert "a stack of 3 ran out of memory; going on with 2 at a time" in said
    assert [read(tmp_path / "sweep" / str(number))["seed"] for number in range(6)] == list(range(6))


def test_trials_run_again_alone_by_their_own_commands_come_to_the_same(tmp_path: Path, sweep: Sweep) -> None:
    said = sweep("sweep", "sweep=lr", "hydra/launcher=stacked", "hydra.sweeper.n_trials=12", "trainer.max_epochs=60")
    assert "as one stack: 12 jobs that differ in optimizer.lr" in said
    assert "one by one" not in said
    for number in ("0", "5", "11"):
        swept = read(tmp_path / "sweep" / number)
        assert gap(swept, rerun(swept, tmp_path / number)) < TOLERANCE


def test_a_pruned_trial_leaves_its_stack(tmp_path: Path, sweep: Sweep) -> None:
    line = ("sweep=lr", "hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.upper=0.5", "trainer.max_epochs=200")
    line += (
        "hydra.sweeper.pruner.n_warmup_steps=100",
        "hydra.sweeper.n_trials=6",
        "logger=none",
        "data.standardize=true",
    )
    sweep("alone", *line)
    assert "one by one" not in sweep("stacked", *line, "hydra/launcher=stacked", "hydra.sweeper.n_jobs=6")
    found = [[read(tmp_path / kind / str(n)) for n in range(6)] for kind in ("alone", "stacked")]
    ends = [[(summary["status"], summary["epochs"]) for summary in summaries] for summaries in found]
    assert ends[0] == ends[1]
    assert {status for status, _ in ends[0]} == {"completed", "pruned"}, "the test shows nothing"
    boards = [(tmp_path / kind / "leaderboard.csv").read_text() for kind in ("alone", "stacked")]
    assert boards[0].count("pruned") == boards[1].count("pruned") > 0


def test_kill_in_the_middle_keeps_finished_members_and_the_same_command_goes_on(tmp_path: Path, sweep: Sweep) -> None:
    line = ("sweep=lr", *stacked("hydra.launcher.width=4", "hydra.sweeper.n_trials=12", "trainer.threads=1"))
    child = os.fork()
    if not child:
        write = RunFolder.write_summary

        def deadly(folder: RunFolder, summary: dict[str, Any]) -> None:
            if folder.path.name == "6":
                os.kill(os.getpid(), signal.SIGKILL)
            write(folder, summary)

        RunFolder.write_summary = deadly  # type: ignore[method-assign]  # the child is thrown away
        run_here("train", "-m", "hydra.sweep.dir=sweep", *line)
        os._exit(0)
    deadline = time.monotonic() + 60
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.05)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended[1]), "the sweep came to its end"
    folder = tmp_path / "sweep"
    before = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/summary.json")}
    assert sorted(before) == ["0", "1", "2", "3", "4", "5"]
    assert "6 jobs that differ in optimizer.lr" in sweep("sweep", *line)
    after = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/summary.json")}
    assert len(after) == 12
    assert {name: after[name] for name in before} == before, "a finished member was trained again"
    assert {read(folder / name)["status"] for name in after} == {"completed"}


def test_what_a_sweep_of_one_number_does_not_import(tmp_path: Path) -> None:
    """Each takes half a second: signals, tests over folds or seeds, and the forest that weighs several parameters."""
    code = """
import runpy, sys
runpy.run_module("src.train", run_name="__main__")
print(sorted({"scipy.signal", "scipy.stats", "sklearn.ensemble"} & set(sys.modules)))
"""
    sweep = ("-m", "hydra/launcher=stacked", "optimizer.lr=0.01,0.02", "trainer.max_epochs=5")
    answer = ended(start(tmp_path, "-c", code, *sweep))
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "[]"
