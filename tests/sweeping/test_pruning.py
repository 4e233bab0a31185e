"""What a run tells the study, and when."""

from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from src.sweeping.pruning import NUMBER, SWEEPER, Pruning, watchers
from src.sweeping.storage import location, open_storage


def study_with(values: list[float], pruner) -> optuna.Study:
    study = optuna.create_study(pruner=pruner)
    for value in values:
        trial = study.ask()
        for epoch in (2, 4, 6):
            trial.report(value, epoch)
        study.tell(trial, value)
    return study


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_worse_half_is_pruned_at_a_report() -> None:
    study = study_with([1.0, 2.0, 3.0], optuna.pruners.MedianPruner(n_startup_trials=2))
    bad, good = (Pruning(study.ask(), "val/mse", False, every=2, clock=lambda: 0.0) for _ in range(2))
    assert not bad(1, {"val/mse": 9.0})  # no report is due
    assert bad(2, {"val/mse": 9.0})
    assert not good(2, {"val/mse": 0.5})


def test_reports_are_the_best_so_far_at_fixed_epochs() -> None:
    trial = optuna.create_study().ask()
    watcher = Pruning(trial, "val/mse", False, every=2, clock=lambda: 0.0)
    for epoch, value in enumerate([5.0, 4.0, 3.0, float("nan"), 6.0, 7.0], start=1):
        watcher(epoch, {"val/mse": value})
    assert trial.study.trials[0].intermediate_values == {2: 4.0, 4: 3.0, 6: 3.0}


def test_training_loss_stands_in_without_validation() -> None:
    trial = optuna.create_study(direction="maximize").ask()
    Pruning(trial, "train/r2", True, every=1, clock=lambda: 0.0)(1, {"train/loss": 2.0})
    assert trial.study.trials[0].intermediate_values == {1: -2.0}


def test_a_slow_storage_takes_at_most_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    trial = optuna.create_study().ask()
    report = trial.report

    def slow(value: float, step: int) -> None:
        clock.now += 20.0
        report(value, step)

    monkeypatch.setattr(trial, "report", slow)
    watcher = Pruning(trial, "val/mse", False, every=1, clock=clock)
    for epoch in range(1, 201):
        clock.now += 1.0  # a training epoch
        watcher(epoch, {"val/mse": 1.0})
    spent = 21.0 * len(trial.study.trials[0].intermediate_values)
    assert spent < clock.now * 0.45
    assert len(trial.study.trials[0].intermediate_values) > 3


def test_one_slow_answer_costs_no_later_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer of some pruners imports SciPy, which takes longer than a short run."""
    clock = Clock()
    trial = optuna.create_study().ask()
    report = trial.report

    def slow(value: float, step: int) -> None:
        clock.now += 500.0 if step == 2 else 0.0
        report(value, step)

    monkeypatch.setattr(trial, "report", slow)
    watcher = Pruning(trial, "val/mse", False, every=1, clock=clock)
    for epoch in range(1, 21):
        clock.now += 9.0  # a training epoch
        watcher(epoch, {"val/mse": 1.0})
    assert len(trial.study.trials[0].intermediate_values) == 20


@pytest.mark.parametrize(("env", "number"), [({}, 1), ({NUMBER: "2"}, 2)])
def test_a_run_reports_to_its_own_trial(tmp_path: Path, env: dict[str, str], number: int) -> None:
    """A job's number is the trial's, unless another process took the number that the launcher counts to."""
    study = optuna.create_study(study_name="s", storage=open_storage(location(None, tmp_path)))
    for _ in range(3):
        study.ask()
    pruner = {"_target_": "optuna.pruners.NopPruner"}
    sweeper = {"_target_": SWEEPER, "storage": None, "study_name": "s", "reports": 2, "pruner": pruner}
    hydra = {"mode": "MULTIRUN", "sweeper": sweeper, "runtime": {"cwd": str(tmp_path)}, "sweep": {"dir": "."}}
    job = OmegaConf.create(hydra | {"job": {"num": 1, "env_set": env}})
    (watcher,) = watchers(job, "val/mse", maximize=False, max_epochs=10)
    for epoch in range(1, 11):
        watcher(epoch, {"val/mse": 20.0 - epoch})
    expected: list[dict[int, float]] = [{}, {}, {}]
    expected[number] = {5: 15.0, 10: 10.0}
    assert [trial.intermediate_values for trial in study.trials] == expected


def test_the_best_of_a_figure_to_maximize_is_the_largest() -> None:
    trial = optuna.create_study(direction="maximize").ask()
    watcher = Pruning(trial, "val/r2", True, every=1, clock=lambda: 0.0)
    for epoch, value in enumerate([0.1, 0.5, 0.2], start=1):
        watcher(epoch, {"val/r2": value})
    assert trial.study.trials[0].intermediate_values == {1: 0.1, 2: 0.5, 3: 0.5}
