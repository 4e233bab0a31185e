"""How far a sweep is: a line, or a bar on a terminal."""

import io
import re
import sys

import optuna
import pytest

from src.sweeping.progress import Progress, duration
from src.training.bar import Bar


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


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It says what a line would; the bar of a run stands below it, and the last to close gives the terminal back."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    caplog.set_level("INFO")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    progress = Progress(4, ["minimize"], 0)
    run = Bar("epoch", 9, 0)
    run.show(7, "train/loss 0.5000")
    study = optuna.create_study()
    study.add_trial(optuna.create_trial(value=0.25, params={}, distributions={}))
    progress.show(study.trials)
    Bar._display.refresh()
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    for part in (r"trials .* 1/4 ", r"best 0\.25 \(trial 0\)", r"epoch .* 7/9 ", r"train/loss 0\.5000"):
        assert re.search(part, said), part
    run.close()
    assert Bar._display is not None
    progress.close()
    assert Bar._display is None
    assert not [record for record in caplog.records if record.name.startswith("src.")]
