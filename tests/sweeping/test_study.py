"""The durable study on each storage, within one process."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler

from src.errors import UserError
from src.runs.lock import claimed, held
from src.sweeping import lease
from src.sweeping.lease import HEARTBEAT, LEASE
from tests.sweeping.conftest import ABOUT, Open, ask, die, finish


def points(study) -> list[float]:
    return [trial.params["x"] for trial in study.trials()]


def test_resumed_study_ends_as_an_uninterrupted_one(opened: Open, storage: str | None) -> None:
    whole = opened(storage, name="whole")
    while trial := ask(whole):
        finish(whole, trial)
    first = opened(storage, name="cut")
    for _ in range(2):
        finish(first, ask(first))
    again = opened(storage, name="cut")
    while trial := ask(again):
        finish(again, trial)
    assert points(again) == points(whole)
    assert [trial.number for trial in again.trials()] == list(range(6))


def test_a_dead_process_trial_runs_again_with_its_point(opened: Open, storage: str | None) -> None:
    study = opened(storage)
    trial = ask(study)
    x = trial.suggest_float("x", 0, 1)
    die(study)
    after = opened(storage)
    assert after.reclaim() == 1
    assert after.reclaim() == 0
    found = []
    while (trial := ask(after)) is not None:
        found.append((trial.number, finish(after, trial)))
    assert (0, x) in found
    assert len(found) == 6
    assert {trial.state.name for trial in after.trials()} == {"COMPLETE"}


def test_a_live_process_elsewhere_keeps_its_trial(opened: Open) -> None:
    study = opened()
    ask(study)
    other = opened()
    assert other.reclaim() == 0
    assert ask(other).number == 1


def test_signs_of_life_are_given_for_what_runs_and_nothing_else(opened: Open) -> None:
    study = opened()
    finish(study, ask(study))
    study.give_back(ask(study))
    ask(study)
    study._heartbeat(7.0)
    assert [trial.system_attrs.get(HEARTBEAT) for trial in study.trials()] == [None, 7.0]


def test_what_another_process_ended_meanwhile_stays_as_it_is(opened: Open, storage: str | None) -> None:
    study, other = opened(storage), opened(storage)
    trial = ask(study)
    x = trial.suggest_float("x", 0, 1)
    other.tell(optuna.Trial(other.study, trial._trial_id), "COMPLETE", [7.0], {"folder": "theirs"})
    study.tell(trial, "COMPLETE", [x], {"folder": "ours"})
    assert [(trial.value, trial.user_attrs) for trial in study.trials()] == [(7.0, {"folder": "theirs"})]


def test_a_sampler_sees_what_other_processes_finished(opened: Open) -> None:
    """Optuna keeps its list of trials from one ``tell`` of this process to the next."""

    class Seeing(RandomSampler):
        seen = 0

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            done = study._get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,), use_cache=True)
            self.seen = len(done)
            return super().sample_relative(study, trial, search_space)

    sampler = Seeing(0)
    study, other = opened(sampler=lambda number: sampler), opened()
    ask(study).suggest_float("x", 0, 1)
    finish(other, ask(other))
    ask(study).suggest_float("x", 0, 1)
    assert sampler.seen == 1


def test_a_silent_process_elsewhere_counts_as_dead(tmp_path: Path) -> None:
    """Its lease cannot be seen from here; nothing but a database has such trials, and nothing else is judged so."""

    def told(beat: float | None) -> optuna.trial.FrozenTrial:
        attributes = {LEASE: "/elsewhere/leases/host-1"} | ({HEARTBEAT: beat} if beat else {})
        return optuna.create_trial(state=optuna.trial.TrialState.RUNNING, system_attrs=attributes)

    assert lease.at_work(told(time.time() - lease.SILENCE + 10), tmp_path)
    assert not lease.at_work(told(time.time() - lease.SILENCE - 10), tmp_path)
    assert not lease.at_work(told(None), tmp_path)


def test_a_killed_process_is_known_at_once(opened: Open, tmp_path: Path) -> None:
    """By the kernel: its heartbeat of a moment ago proves nothing, and its file goes with its trials."""
    code = f"""
import os, signal
from pathlib import Path
from src.sweeping.lease import Lease
print(Lease(Path({str(tmp_path)!r})).path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    study = opened()
    state, attributes = optuna.trial.TrialState.RUNNING, {LEASE: path, HEARTBEAT: time.time()}
    study.study.add_trial(optuna.create_trial(state=state, system_attrs=attributes))
    assert Path(path).is_file()
    assert study.reclaim() == 1
    assert [each.name for each in (tmp_path / "leases").iterdir()] == [study._lease.path.name]


def test_a_job_that_outlives_its_sweep_keeps_its_trial(opened: Open, tmp_path: Path) -> None:
    """As one of Slurm's does; once it ends, its trial waits for whoever reads what it came to."""
    study = opened()
    ask(study)
    die(study)
    after = opened()
    with claimed(tmp_path / "0", "0"):
        assert after.reclaim() == 0
        assert after.outlived() == [0]
    assert after.outlived() == []
    assert after.reclaim() == 1


def test_where_folders_cannot_be_locked_a_file_beside_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As over NFS."""
    flock = fcntl.flock

    def of_files(descriptor: int, how: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "no locks on folders")
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", of_files)
    with claimed(tmp_path / "0", "0", []):
        assert held(tmp_path / "0")
        with pytest.raises(UserError, match="another process"), claimed(tmp_path / "0", "0", []):
            pass
    assert not held(tmp_path / "0")


def test_another_sampler_is_said_and_taken(opened: Open, caplog: Any) -> None:
    opened()
    assert not caplog.messages
    opened(described={"_target_": "TPESampler"})
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("goes on with another sampler: _target_: RandomSampler → TPESampler")
    opened(described={"_target_": "TPESampler"})
    assert len(caplog.messages) == 1


def test_a_trial_that_keeps_killing_fails_and_stands_in_no_ones_way(opened: Open) -> None:
    for life in range(3):
        study = opened(limit=2, max_retries=2)
        study.reclaim()
        numbers = []
        while trial := ask(study):
            numbers.append(trial.number)
            if trial.number == 1:
                finish(study, trial)
            else:
                continue
        assert numbers == ([0, 1] if life == 0 else [0])
        die(study)
    last = opened(limit=2, max_retries=2)
    assert last.reclaim() == 0
    assert ask(last) is None
    assert last.trials()[0].state.name == "FAIL"
    assert last.trials()[0].user_attrs["message"] == "the process that ran it died, 3 times"


@pytest.mark.parametrize("learns", [True, False])
def test_a_sampler_that_learns_waits_for_a_trial_however_often_it_died(learns: bool, opened: Open) -> None:
    """What it would propose next depends on that; who learns nothing goes on with the others."""
    for _ in range(2):
        study = opened(limit=2, max_retries=2)
        study.reclaim()
        assert [trial.number for trial in study.ask(1, learns)] == [0]
        die(study)
    last = opened(limit=2, max_retries=2)
    last.reclaim()
    assert [trial.number for trial in last.ask(1, learns)] == [0 if learns else 1]


def test_an_interrupted_trial_waits_with_its_point(opened: Open, storage: str | None) -> None:
    study = opened(storage, limit=1)
    trial = ask(study)
    x = trial.suggest_float("x", 0, 1)
    study.give_back(trial)
    again = opened(storage, limit=1)
    trial = ask(again)
    assert (trial.number, trial.params) == (0, {"x": x})


def test_two_processes_share_the_numbers(opened: Open, storage: str | None) -> None:
    one, two = opened(storage), opened(storage)
    numbers = []
    while True:
        asked = [ask(study) for study in (one, two)]
        numbers += [trial.number for trial in asked if trial]
        for study, trial in zip((one, two), asked, strict=True):
            if trial:
                finish(study, trial)
        if not any(asked):
            break
    assert sorted(numbers) == list(range(6))


def test_a_trial_belongs_to_the_process_that_took_it_over(opened: Open) -> None:
    dead = opened(limit=1)
    ask(dead)
    die(dead)
    after = opened(limit=1)
    assert after.reclaim() == 1
    assert ask(after) is not None
    assert opened(limit=1).reclaim() == 0


def test_what_no_process_died_over_comes_first(opened: Open) -> None:
    dead = opened(limit=2)
    ask(dead)
    die(dead)
    after = opened(limit=2)
    after.give_back(ask(after))
    after.reclaim()
    assert [ask(after).number for _ in range(2)] == [1, 0]


def test_a_smaller_limit_leaves_what_is_beyond_it(opened: Open) -> None:
    large = opened(limit=3)
    large.give_back([ask(large) for _ in range(3)][2])
    small = opened(limit=2)
    assert ask(small) is None
    assert [trial.number for trial in small.trials()] == [0, 1]


def test_a_larger_limit_goes_on(opened: Open) -> None:
    small = opened(limit=2)
    while trial := ask(small):
        finish(small, trial)
    large = opened(limit=3)
    assert ask(large).number == 2


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("optimizer.lr", "0.05", "optimizer.lr: 0.02 → 0.05"),
        ("x", "interval(0, 2)", "x: interval(0, 1) → interval(0, 2)"),
        ("direction", "maximize", "direction: minimize → maximize"),
    ],
)
def test_another_study_is_refused_in_one_line(opened: Open, key: str, value: str, shown: str) -> None:
    study = opened()
    finish(study, ask(study))
    with pytest.raises(UserError, match="is another one") as caught:
        opened(about=ABOUT | {key: value})
    assert shown in str(caught.value)
    assert "study.new=true" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(opened().trials()) == 1


def test_a_study_that_is_not_ours_is_refused(opened: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/theirs.db"
    optuna.create_study(study_name="theirs", storage=url).add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(UserError, match="was not made by this sweeper"):
        opened(url, name="theirs")


def test_the_lease_is_there_from_the_first_moment(opened: Open) -> None:
    """A kill between creating a trial and naming its lease would leave it running for ever."""
    study = opened()
    trial = ask(study)
    records = [json.loads(line) for line in (study.lock.parent / "study.journal").read_text().splitlines()]
    created = [record for record in records if "system_attrs" in record]
    assert created
    assert LEASE in created[0]["system_attrs"]
    assert trial.number == 0
