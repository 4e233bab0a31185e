"""What a run tells the study, and when."""

import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from omegaconf import OmegaConf

from src.sweeping.pruning import SWEEPER, Pruner, pruner
from src.sweeping.storage import location, open_storage


def study_with(values: list[float], pruner) -> optuna.Study:
    study = optuna.create_study(pruner=pruner)
    for value in values:
        trial = study.ask()
        for epoch in (2, 4, 6):
            trial.report(value, epoch)
        study.tell(trial, value)
    return study


def ask(watcher: Pruner, epoch: int, **figures: float) -> bool:
    """What a lone run's training asks at the end of an epoch."""
    known = {name.replace("_", "/"): np.array([value]) for name, value in {"train_loss": 1.0, **figures}.items()}
    answer = watcher(epoch, np.arange(1), np.ones(1, bool), known)
    return answer is not None and bool(answer[0])


def test_the_worse_half_is_pruned_at_a_report() -> None:
    study = study_with([1.0, 2.0, 3.0], optuna.pruners.MedianPruner(n_startup_trials=2))
    bad, good = (Pruner([study.ask()], "val/mse", False, every=2) for _ in range(2))
    assert not ask(bad, 1, val_mse=9.0)  # no report is due
    assert ask(bad, 2, val_mse=9.0)
    assert not ask(good, 2, val_mse=0.5)


def test_reports_are_the_best_so_far_at_fixed_epochs() -> None:
    trial = optuna.create_study().ask()
    watcher = Pruner([trial], "val/mse", False, every=2)
    for epoch, value in enumerate([5.0, 4.0, 3.0, float("nan"), 6.0, 7.0], start=1):
        ask(watcher, epoch, val_mse=value)
    assert trial.study.trials[0].intermediate_values == {2: 4.0, 4: 3.0, 6: 3.0}


def test_training_loss_stands_in_without_validation() -> None:
    trial = optuna.create_study(direction="maximize").ask()
    ask(Pruner([trial], "train/r2", True, every=1), 1, train_loss=2.0)
    assert trial.study.trials[0].intermediate_values == {1: -2.0}


def test_reports_come_at_the_same_epochs_however_slow_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pruned sweep repeats: nothing about it is judged by a clock."""
    trial = optuna.create_study().ask()
    watcher = Pruner([trial], "val/mse", False, every=5)
    report = trial.report
    monkeypatch.setattr(trial, "report", lambda *arguments: (time.sleep(0.02), report(*arguments)))
    for epoch in range(1, 51):
        ask(watcher, epoch, val_mse=1.0)
    assert list(trial.study.trials[0].intermediate_values) == list(range(5, 51, 5))


def test_a_run_reports_to_its_own_trial(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="s", storage=open_storage(location(None, tmp_path)))
    for _ in range(3):
        study.ask()
    node = {"_target_": "optuna.pruners.NopPruner"}
    sweeper = {"_target_": SWEEPER, "storage": None, "study_name": "s", "reports": 2, "pruner": node}
    hydra = {"mode": "MULTIRUN", "sweeper": sweeper, "runtime": {"cwd": str(tmp_path)}, "sweep": {"dir": "."}}
    job = OmegaConf.create(hydra | {"job": {"num": 1}})
    watcher = pruner(job, "val/mse", maximize=False, max_epochs=10, numbers=[job.job.num])
    assert watcher is not None
    for epoch in range(1, 11):
        ask(watcher, epoch, val_mse=20.0 - epoch)
    assert [trial.intermediate_values for trial in study.trials] == [{}, {5: 15.0, 10: 10.0}, {}]


def test_the_best_of_a_figure_to_maximize_is_the_largest() -> None:
    trial = optuna.create_study(direction="maximize").ask()
    watcher = Pruner([trial], "val/r2", True, every=1)
    for epoch, value in enumerate([0.1, 0.5, 0.2], start=1):
        ask(watcher, epoch, val_r2=value)
    assert trial.study.trials[0].intermediate_values == {1: 0.1, 2: 0.5, 3: 0.5}
