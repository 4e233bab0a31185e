"""A study's pruner over a stack."""

import numpy as np
import optuna
import pytest

from src.sweeping.pruning import Pruner


def pruner(
    study: optuna.Study, members: int, every: int = 2, objective: str = "train/mse", maximize: bool = False
) -> Pruner:
    return Pruner([study.ask() for _ in range(members)], objective, maximize, every)


class WorseHalf(optuna.pruners.BasePruner):
    """Prunes who is above the median of all that have reported at the same step."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        step = trial.last_step
        reported = [t.intermediate_values[step] for t in study.get_trials() if step in t.intermediate_values]
        return trial.intermediate_values[step] > np.median(reported)


def halving(direction: str = "minimize") -> optuna.Study:
    return optuna.create_study(direction=direction, pruner=WorseHalf())


def test_all_report_before_any_is_asked() -> None:
    study = halving()
    ask = pruner(study, 4)
    everyone, alive = np.arange(4), np.ones(4, bool)
    assert ask(1, everyone, alive, {"train/loss": np.zeros(4)}) is None, "no report is due"
    # In the order of the members the worst ones come first: asked one after the other, they would stay.
    answers = ask(2, everyone, alive, {"train/loss": np.array([4.0, 3.0, 2.0, 1.0])})
    assert answers is not None
    assert answers.tolist() == [True, True, False, False]
    assert [trial.intermediate_values for trial in study.get_trials()] == [{2: 4.0}, {2: 3.0}, {2: 2.0}, {2: 1.0}]
    answers = ask(4, everyone[2:], alive[2:], {"train/loss": np.array([0.5, 0.9])})
    assert answers is not None
    assert answers.tolist() == [False, True]


def test_who_has_diverged_does_not_report() -> None:
    study = halving()
    ask = pruner(study, 3)
    ask(2, np.arange(3), np.array([True, False, True]), {"train/loss": np.array([1.0, 0.0, np.nan])})
    assert [trial.intermediate_values for trial in study.get_trials()] == [{2: 1.0}, {}, {}]


@pytest.mark.parametrize(("maximize", "reported"), [(False, [1.0, 2.0]), (True, [3.0, 5.0])])
def test_a_validation_figure_counts_by_its_best_epoch(maximize: bool, reported: list[float]) -> None:
    study = halving("maximize" if maximize else "minimize")
    ask = pruner(study, 2, every=3, objective="val/r2", maximize=maximize)
    for epoch, figures in enumerate(([1.0, 5.0], [np.nan, np.nan], [3.0, 2.0]), 1):
        ask(epoch, np.arange(2), np.ones(2, bool), {"val/r2": np.array(figures), "train/loss": np.ones(2)})
    assert [trial.intermediate_values for trial in study.get_trials()] == [{3: value} for value in reported]


def test_the_models_of_a_trial_report_their_mean_and_are_pruned_together() -> None:
    """Two trials of two folds each: whoever has the better mean stays, though one of its folds is the worst of all."""
    study = halving()
    ask = Pruner([study.ask() for _ in range(2)], "val/mse", False, 1, models=2)
    answers = ask(1, np.arange(4), np.ones(4, bool), {"val/mse": np.array([4.0, 0.0, 3.0, 3.0])})
    assert answers is not None
    assert [trial.intermediate_values for trial in study.get_trials()] == [{1: 2.0}, {1: 3.0}]
    assert answers.tolist() == [False, False, True, True]
    # A fold that has stopped counts on with its best, and is no longer asked.
    study = halving()
    ask = Pruner([study.ask() for _ in range(2)], "val/mse", False, 1, models=2)
    ask(1, np.arange(4), np.ones(4, bool), {"val/mse": np.array([1.0, 5.0, 2.0, 2.0])})
    answers = ask(2, np.arange(4), np.array([True, False, True, True]), {"val/mse": np.array([9.0, 9.0, 1.0, 1.0])})
    assert answers is not None
    assert study.get_trials()[0].intermediate_values == {1: 3.0, 2: 3.0}
    assert answers.tolist() == [True, False, False, False]
