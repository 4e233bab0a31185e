"""What the loop makes of a launcher that loses its workers, and of numbers that another process took."""

import errno
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from src.errors import UserError
from src.runs.lock import claimed
from src.sweeping.sweep import Sweep
from tests.sweeping.conftest import Open, ask, die, finish


class Launcher:
    """Returns the job's number; dies as joblib does over jobs that kill; finds the disk full at others."""

    def __init__(self, killers: set[str], full: tuple[int, ...] = ()) -> None:
        self.killers, self.full = killers, full
        self.launched: list[list[list[str]]] = []
        self.answer: Callable[[int], float] = float

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.launched.append(jobs)
        if any(set(job) & self.killers for job in jobs):
            raise RuntimeError("a worker process was terminated\nand more")
        return [self._done(initial_job_idx + place) for place, _ in enumerate(jobs)]

    def _done(self, number: int) -> JobReturn:
        if number in self.full:
            return JobReturn(_return_value=OSError(errno.ENOSPC, "No space left"), status=JobStatus.FAILED)
        done = Return(status=JobStatus.COMPLETED)
        done.return_value = self.answer(number)
        done.number = number
        return done


class Return(JobReturn):
    """Composes its configuration when somebody looks at it, as a stack's does."""

    number = 0
    looked = 0

    @property
    def hydra_cfg(self) -> Any:
        Return.looked += 1
        return OmegaConf.create({"hydra": {"runtime": {"output_dir": f"{self.number // 2}/x={self.number}"}}})

    @hydra_cfg.setter
    def hydra_cfg(self, value: Any) -> None: ...


def sweep(study: Any, launcher: Launcher, folder: Path, n_jobs: int, subdir: str = "${hydra.job.num}") -> Sweep:
    """A sweep whose plan opens the given study."""

    options = {"max_failure_rate": 1.0, "max_failures_in_a_row": 10, "study_name": "s"}
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder), "subdir": subdir}, "sweeper": options}})

    def command(trial: Any) -> list[str]:
        trial.suggest_float("x", 0, 1)
        return [f"job={trial.number}"]

    plan = SimpleNamespace(
        config=config,
        options=config.hydra.sweeper,
        directions=["minimize"],
        limit=study.limit,
        n_jobs=n_jobs,
        learns=False,
        open=lambda folder: study,
        command=command,
    )
    return Sweep(launcher, plan)  # type: ignore[arg-type]


def test_only_the_trial_that_kills_its_worker_fails(opened: Open, tmp_path: Path) -> None:
    study, launcher = opened(limit=4), Launcher({"job=2"})
    sweep(study, launcher, tmp_path, n_jobs=4).run()
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials()[2].user_attrs["message"] == "RuntimeError: a worker process was terminated"


def one_life(study: Any) -> list[int]:
    """A batch of at most eight that begins, by number; its process dies where trial 5 is among them."""
    study.reclaim()
    batch = study.ask(8, False)
    for trial in batch:
        trial.suggest_float("x", 0, 1)
    numbers = [trial.number for trial in batch]
    if 5 in numbers:
        die(study)
    else:
        for trial in batch:
            finish(study, trial)
        study.close()
    return numbers


def test_the_one_that_kills_is_found_by_halves(opened: Open) -> None:
    """And fails after as many deaths alone as a trial has retries; whoever stood beside it ends as it would have."""
    lives = []
    while numbers := one_life(opened(limit=16, max_retries=2)):
        lives.append(numbers)
    assert [len(each) for each in lives if 5 in each] == [8, 4, 2, 1, 1, 1]
    states = [trial.state.name for trial in opened(limit=16).trials()]
    assert states == ["COMPLETE"] * 5 + ["FAIL"] + ["COMPLETE"] * 10
    assert len(lives) == 6 + 4  # 8 to 15, and the innocent halves of 4, 2 and 1


def test_who_has_come_further_since_the_last_death_goes_on_beside_the_same(opened: Open) -> None:
    """A trial that kills does so at one point: where there are more rows, and a checkpoint, it was somebody else."""
    found = []
    for rows in ("1", "1,2", "1,2", "1,2,3", "1,2,3"):
        study = opened(limit=8)
        study.reclaim()
        batch = study.ask(8, False)
        for trial in batch:
            trial.suggest_float("x", 0, 1)
            folder = study.folder / str(trial.number)
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            (folder / "checkpoints" / "last.ckpt").touch()
            (folder / "metrics.csv").write_text(rows)
        found.append([trial.number for trial in batch])
        die(study)
    study = opened(limit=8)
    study.reclaim()
    found.append([trial.number for trial in study.ask(8, False)])
    assert [len(each) for each in found[:3]] == [8, 8, 8]
    assert found[3:] == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]], "the first half came further once"


def test_a_process_that_dies_while_it_proposes_is_nobodys_doing(opened: Open) -> None:
    study = opened(limit=4)
    study.ask(4, True)[0].suggest_float("x", 0, 1)
    die(study)
    again = opened(limit=4)
    again.reclaim()
    assert [trial.number for trial in again.ask(4, True)] == [0, 1, 2, 3]


def test_the_whole_folder_of_a_dead_process_is_an_outcome(opened: Open, tmp_path: Path) -> None:
    """It was killed between the end of the run and telling the study."""
    study = opened(limit=5)
    while ask(study):
        pass
    die(study)
    left = {
        0: {"status": "completed", "overrides": ["job=0"], "objective": {"name": "loss", "value": 50.0}},
        1: {"status": "failed", "overrides": ["another command"], "message": "as it was"},
        2: {"status": "diverged", "overrides": ["job=2"], "objective": {"name": "loss", "value": None}},
        3: {"status": "pruned", "overrides": ["job=3"], "objective": {"name": "loss", "value": 50.0}},
        4: {"status": "interrupted", "overrides": ["job=4"], "objective": {"name": "loss", "value": 50.0}},
    }
    for number, summary in left.items():
        _leave(tmp_path / str(number), summary)
    study, launcher = opened(limit=5), Launcher(set())
    sweep(study, launcher, tmp_path, n_jobs=1).run()
    assert launcher.launched == [[["job=1"]], [["job=4"]]]
    trials = study.trials()
    assert [trial.values for trial in trials] == [[50.0], [1.0], [math.inf], None, [4.0]]
    assert trials[3].state.name == "PRUNED"


@pytest.mark.parametrize(
    ("direction", "name", "worst"), [("minimize", "val/mse", math.inf), ("maximize", "val/r2", -math.inf)]
)
def test_an_answer_that_is_no_number_is_the_worst_and_no_failure(
    opened: Open, tmp_path: Path, direction: str, name: str, worst: float
) -> None:
    """Whether the job says it or the folder of a dead process does; Optuna takes infinities and no NaN."""
    dead = opened(limit=2, directions=[direction])
    ask(dead)
    die(dead)
    _leave(tmp_path / "0", {"status": "diverged", "overrides": ["job=0"], "objective": {"name": name, "value": None}})
    study, launcher = opened(limit=2, directions=[direction]), Launcher(set())
    launcher.answer = lambda number: math.nan
    made = sweep(study, launcher, tmp_path, n_jobs=1)
    made.plan.directions = [direction]
    made.run()
    assert [(trial.state.name, trial.value) for trial in study.trials()] == [("COMPLETE", worst)] * 2


def _leave(folder: Path, summary: dict[str, Any]) -> None:
    """A run folder of ours with this summary."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "hydra.yaml").write_text("_target_: src.plugins.folders.Folders\n")
    (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
    (folder / "summary.json").write_text(json.dumps(summary))


def test_a_finished_run_of_another_command_is_not_replaced(opened: Open, tmp_path: Path) -> None:
    """The sweep stops with its folder's name, and the trial waits."""
    study = opened(limit=1)
    _leave(tmp_path / "0", {"status": "completed", "overrides": ["another command"]})
    with pytest.raises(UserError, match="0 holds a run with other overrides: move it away"):
        sweep(study, Launcher(set()), tmp_path, n_jobs=1).run()
    assert [trial.state.name for trial in study.trials()] == ["WAITING"]


@pytest.mark.parametrize("left", [[], ["config.yaml"], ["config.yaml", "hydra.yaml"]])
def test_what_hydra_was_killed_writing_is_no_obstacle(opened: Open, tmp_path: Path, left: list[str]) -> None:
    """It writes three files; the one that it was at may be empty."""
    study = opened(limit=1)
    (tmp_path / "0" / ".hydra").mkdir(parents=True)
    for name in left:
        (tmp_path / "0" / ".hydra" / name).touch()
    sweep(study, Launcher(set()), tmp_path, n_jobs=1).run()
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE"]


def test_a_full_disk_stops_the_sweep_and_fails_no_trial(opened: Open, tmp_path: Path) -> None:
    study = opened(limit=3)
    with pytest.raises(UserError, match="2: No space left"):
        sweep(study, Launcher(set(), full=(2,)), tmp_path, n_jobs=1).run()
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "COMPLETE", "WAITING"]
    sweep(study, Launcher(set()), tmp_path, n_jobs=1).run()
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE"] * 3


def test_a_command_that_cannot_be_made_leaves_no_trial_running(opened: Open, tmp_path: Path) -> None:
    study = opened(limit=2)
    made = sweep(study, Launcher(set()), tmp_path, n_jobs=2)

    def command(trial: Any) -> list[str]:
        raise UserError("optimizer.lr is both fixed and swept")

    made.plan.command = command
    with pytest.raises(UserError, match="both fixed and swept"):
        made.run()
    assert {trial.state.name for trial in study.trials()} == {"WAITING"}


def test_only_failures_in_a_row_and_shares_of_a_batch_stop_a_sweep(opened: Open, tmp_path: Path) -> None:
    study = opened(limit=6)
    made = sweep(study, Launcher({"job=1", "job=3", "job=5"}), tmp_path, n_jobs=1)
    made.plan.options.max_failures_in_a_row = 2
    made.run()
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "FAIL"] * 3
    study = opened(limit=6, name="rate")
    made = sweep(study, Launcher({"job=0"}), tmp_path, n_jobs=2)
    made.plan.options.max_failure_rate = 0.4
    with pytest.raises(SystemExit):
        made.run()
    assert len(study.trials()) == 2


def test_trials_whose_numbers_do_not_follow_are_launched_apart(opened: Open, tmp_path: Path) -> None:
    """A launcher can only count on, and a trial's number is its folder."""
    study, other, launcher = opened(limit=4), opened(limit=4), Launcher(set())
    study.give_back(ask(study))
    ask(other)  # 0, which is theirs
    study.give_back(ask(study))
    ask(other)  # and 1
    mine = study.ask(2, learns=False)
    study.give_back(mine[1])
    finish(study, mine[0])
    sweep(study, launcher, tmp_path, n_jobs=2).run()
    assert launcher.launched == [[["job=3"]]]


def test_a_job_that_outlived_its_sweep_is_waited_for_and_its_outcome_taken(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of Slurm's: it is not run twice."""
    dead = opened(limit=2)
    ask(dead)
    die(dead)
    job = ExitStack()
    job.enter_context(claimed(tmp_path / "0", "0"))

    def end(seconds: float) -> None:
        _leave(
            tmp_path / "0", {"status": "completed", "overrides": ["job=0"], "objective": {"name": "x", "value": 7.0}}
        )
        job.close()

    monkeypatch.setattr("src.sweeping.sweep.time", SimpleNamespace(sleep=end))
    study, launcher = opened(limit=2), Launcher(set())
    sweep(study, launcher, tmp_path, n_jobs=1).run()
    assert launcher.launched == [[["job=1"]]]
    assert [trial.values for trial in study.trials()] == [[7.0], [1.0]]


@pytest.mark.parametrize(("subdir", "folder"), [("${hydra.job.num}", "1"), ("${half}/${params}", "0/x=1")])
def test_only_a_pattern_of_its_own_makes_the_loop_compose_a_jobs_configuration(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subdir: str, folder: str
) -> None:
    """A stack of 1,024 would take a minute for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Return, "looked", 0)
    study = opened(limit=2)
    sweep(study, Launcher(set()), Path(), n_jobs=2, subdir=subdir).run()
    assert study.trials()[1].user_attrs["folder"] == folder
    assert bool(Return.looked) == ("half" in subdir)


def test_a_worker_ends_with_its_killed_sweep() -> None:
    """Else it would go on in a folder in which the same command, started again, runs the same trial."""
    worker = (
        "import os, pickle, sys, time; pickle.load(sys.stdin.buffer); print(os.getpid(), flush=True); time.sleep(60)"
    )
    killed = (
        "import os, pickle, signal, subprocess, sys\nfrom src.plugins.folders import Folders\n"
        "pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}\n"
        f"worker = subprocess.Popen([sys.executable, '-c', {worker!r}], **pipes)\n"
        "worker.stdin.write(pickle.dumps(Folders()))\nworker.stdin.close()\n"
        "print(worker.stdout.readline().decode(), flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    said = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True, check=False)
    until = time.monotonic() + 10
    while Path(f"/proc/{int(said.stdout)}/stat").exists():
        assert time.monotonic() < until, "the worker outlives its sweep"
        time.sleep(0.05)
