"""The durable study on each storage, within one process."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from src.errors import UserError
from src.sweeping import lease
from src.sweeping.lease import BEAT, OWNER
from src.sweeping.samplers import Random
from tests.sweeping.conftest import ABOUT, Open, finish


def points(study) -> list[float]:
    return [trial.params["x"] for trial in study.trials()]


def gone() -> dict:
    """The owner record of a process that has ended."""
    code = "from src.sweeping import lease; import json; print(json.dumps(lease.me()))"
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_resumed_study_ends_as_an_uninterrupted_one(opened: Open, storage: str | None) -> None:
    whole = opened(storage, name="whole")
    while trial := whole.ask():
        finish(whole, trial)
    first = opened(storage, name="cut")
    for _ in range(2):
        finish(first, first.ask())
    again = opened(storage, name="cut")
    while trial := again.ask():
        finish(again, trial)
    assert points(again) == points(whole)
    assert [trial.number for trial in again.trials()] == list(range(6))


def test_a_dead_process_trial_runs_again_with_its_point(opened: Open, storage: str | None) -> None:
    study = opened(storage)
    study._owner = gone()
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    after = opened(storage)
    assert after.reclaim() == 1
    assert after.reclaim() == 0
    found = []
    while (trial := after.ask()) is not None:
        found.append((trial.number, finish(after, trial)))
    assert (0, x) in found
    assert len(found) == 6
    assert {trial.state.name for trial in after.trials()} == {"COMPLETE"}


def test_a_live_process_elsewhere_keeps_its_trial(opened: Open) -> None:
    study = opened()
    study.ask()
    other = opened()
    assert other.reclaim() == 0
    assert other.ask().number == 1


def test_signs_of_life_are_given_for_what_runs_and_nothing_else(opened: Open) -> None:
    study = opened()
    finish(study, study.ask())
    study.give_back(study.ask())
    study.ask()
    study._beat(7.0)
    assert [trial.system_attrs.get(BEAT) for trial in study.trials()] == [None, None, 7.0]


def test_what_another_process_ended_meanwhile_stays_as_it_is(opened: Open, storage: str | None) -> None:
    study, other = opened(storage), opened(storage)
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    other.tell(optuna.Trial(other.study, trial._trial_id), "COMPLETE", [7.0], {"folder": "theirs"})
    study.tell(trial, "COMPLETE", [x], {"folder": "ours"})
    assert [(trial.value, trial.user_attrs) for trial in study.trials()] == [(7.0, {"folder": "theirs"})]


def test_a_sampler_sees_what_other_processes_finished(opened: Open) -> None:
    """Optuna keeps its list of trials from one ``tell`` of this process to the next."""

    class Seeing(Random):
        seen = 0

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            done = study._get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,), use_cache=True)
            self.seen = len(done)
            return super().sample_relative(study, trial, search_space)

    sampler = Seeing({"x": FloatDistribution(0, 1)}, 0)
    study, other = opened(sampler=sampler), opened()
    study.ask().suggest_float("x", 0, 1)
    finish(other, other.ask())
    study.ask().suggest_float("x", 0, 1)
    assert sampler.seen == 1


def run_by(process: dict[str, Any], beat: float) -> optuna.trial.FrozenTrial:
    return optuna.create_trial(state=optuna.trial.TrialState.RUNNING, system_attrs={OWNER: process, BEAT: beat})


def test_a_silent_process_on_another_host_counts_as_dead() -> None:
    far = {"host": "elsewhere", "pid": 1, "started": "1"}
    assert lease.at_work(run_by(far, time.time() - lease.SILENCE + 10))
    assert not lease.at_work(run_by(far, time.time() - lease.SILENCE - 10))


def test_a_reused_process_id_is_not_the_same_process() -> None:
    mine = lease.me()
    assert lease.at_work(run_by(mine, 0))
    assert not lease.at_work(run_by(mine | {"started": "12"}, 0))


def test_a_trial_that_keeps_killing_fails_and_stands_in_no_ones_way(opened: Open) -> None:
    dead = gone()
    for life in range(3):
        study = opened(limit=2, lives=3)
        study._owner = dead
        study.reclaim()
        numbers = []
        while trial := study.ask():
            numbers.append(trial.number)
            if trial.number == 1:
                finish(study, trial)
            else:
                continue
        assert numbers == ([0, 1] if life == 0 else [0])
    last = opened(limit=2, lives=3)
    assert last.reclaim() == 0
    assert last.ask() is None
    assert last.trials()[0].state.name == "FAIL"
    assert last.trials()[0].user_attrs["message"] == "the process that ran it died, 3 times"


def test_an_interrupted_trial_waits_with_its_point(opened: Open, storage: str | None) -> None:
    study = opened(storage, limit=1)
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    study.give_back(trial)
    again = opened(storage, limit=1)
    trial = again.ask()
    assert (trial.number, trial.params) == (0, {"x": x})


def test_two_processes_share_the_numbers(opened: Open, storage: str | None) -> None:
    one, two = opened(storage), opened(storage)
    numbers = []
    while True:
        asked = [study.ask() for study in (one, two)]
        numbers += [trial.number for trial in asked if trial]
        for study, trial in zip((one, two), asked, strict=True):
            if trial:
                finish(study, trial)
        if not any(asked):
            break
    assert sorted(numbers) == list(range(6))


def test_a_trial_belongs_to_the_process_that_took_it_over(opened: Open) -> None:
    dead = opened(limit=1)
    dead._owner = gone()
    dead.ask()
    after = opened(limit=1)
    assert after.reclaim() == 1
    assert after.ask() is not None
    assert opened(limit=1).reclaim() == 0


def test_what_no_process_died_over_comes_first(opened: Open) -> None:
    dead = opened(limit=2)
    dead._owner = gone()
    dead.ask()
    after = opened(limit=2)
    after.give_back(after.ask())
    after.reclaim()
    assert [after.ask().number for _ in range(2)] == [1, 0]


def test_a_smaller_limit_leaves_what_is_beyond_it(opened: Open) -> None:
    large = opened(limit=3)
    large.give_back([large.ask() for _ in range(3)][2])
    small = opened(limit=2)
    assert small.ask() is None
    assert [trial.number for trial in small.trials()] == [0, 1]


def test_a_larger_limit_goes_on(opened: Open) -> None:
    small = opened(limit=2)
    while trial := small.ask():
        finish(small, trial)
    large = opened(limit=3)
    assert large.ask().number == 2


@pytest.mark.parametrize(
    ("part", "key", "value", "shown"),
    [
        ("base", "optimizer.lr", "0.05", "optimizer.lr: 0.02 → 0.05"),
        ("space", "x", "interval(0, 2)", "x: interval(0, 1) → interval(0, 2)"),
        ("direction", "direction", "maximize", "direction: minimize → maximize"),
    ],
)
def test_another_study_is_refused_in_one_line(opened: Open, part: str, key: str, value: str, shown: str) -> None:
    study = opened()
    finish(study, study.ask())
    with pytest.raises(UserError, match="is another one") as caught:
        opened(about=ABOUT | {part: {key: value}})
    assert shown in str(caught.value)
    assert "study.new=true" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(opened().trials()) == 1


def test_a_study_that_is_not_ours_is_refused(opened: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/theirs.db"
    optuna.create_study(study_name="theirs", storage=url).add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(UserError, match="was not made by this sweeper"):
        opened(url, name="theirs")


def test_the_owner_is_there_from_the_first_moment(opened: Open) -> None:
    """A kill between creating a trial and naming its owner would leave it running for ever."""
    study = opened()
    trial = study.ask()
    records = [json.loads(line) for line in (study.lock.parent / "study.journal").read_text().splitlines()]
    created = [record for record in records if "system_attrs" in record]
    assert created
    assert OWNER in created[0]["system_attrs"]
    assert trial.number == 0
