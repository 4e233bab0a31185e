"""The progress line."""

import optuna
import pytest

from src.sweeping.progress import Progress, duration


@pytest.mark.parametrize(("direction", "best"), [("minimize", "best 1 (trial 0)"), ("maximize", "best 4 (trial 3)")])
def test_a_line_counts_all_and_times_what_was_done_here(direction: str, best: str) -> None:
    now = [0.0]
    progress = Progress(10, [direction], done=2, clock=lambda: now[0])
    study = optuna.create_study()
    for state, value in (("COMPLETE", 1.0), ("PRUNED", 9.0), ("FAIL", None), ("COMPLETE", 4.0)):
        study.add_trial(optuna.create_trial(state=optuna.trial.TrialState[state], value=value))
    study.ask()
    assert not progress.due()
    now[0] = 20.0  # two of the four were done here, so the other six take a minute
    assert progress.due()
    assert progress.line(study.trials) == f"4/10 trials done, 1 pruned, 1 failed, {best}, 60 s left"
    assert not progress.due()


def test_durations_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (89, 600, 7200)] == ["89 s", "10 min", "2.0 h"]
