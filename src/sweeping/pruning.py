"""Pruning as a training sees it: who tells the study how runs are doing, and asks which of them to end."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optuna.trial import Trial

SWEEPER = "hydra_plugins.plumbline_sweeper.durable.Durable"


class Pruner:
    """Asked after every epoch by a training, of one run or of many: who is to be pruned.

    Reports come at fixed epochs, so that a pruned sweep repeats. In a stack all members report, then all are asked, so
    that a pruner that compares trials sees every one of them at the same epoch, whatever their order.

    Args:
        trials: the trial that each member is.
        objective: the figure to report.
        maximize: whether larger is better.
        every: epochs between two reports.
        models: members of each trial, one after the other, its folds say; their mean is reported, and they are pruned
            together.
    """

    def __init__(self, trials: "Sequence[Trial]", objective: str, maximize: bool, every: int, models: int = 1) -> None:
        self._trials, self._objective, self._maximize, self._every = trials, objective, maximize, every
        self._best, self._models = np.full(len(trials) * models, np.nan), models

    def __call__(
        self, epoch: int, present: np.ndarray, alive: np.ndarray, figures: Mapping[str, np.ndarray]
    ) -> np.ndarray | None:
        """Which of the present members that still learn are to be pruned; None where no report was due.

        Args:
            epoch: how many are done.
            present, alive: members, and which of them still learn.
            figures: of this epoch, (present,) by name.
        """
        # A run is judged by the best epoch of a validation figure, else by its last training loss.
        if not self._objective.startswith("val/"):
            self._best[present] = figures["train/loss"] * (-1 if self._maximize else 1)
        elif self._objective in figures:
            better = np.fmax if self._maximize else np.fmin
            now = figures[self._objective]
            self._best[present] = better(self._best[present], np.where(np.isfinite(now), now, np.nan))
        if epoch % self._every:
            return None
        values = self._best.reshape(-1, self._models).mean(axis=1)  # (trials,)
        trial = present // self._models
        reporting = [each for each in np.unique(trial[alive]) if np.isfinite(values[each])]
        for each in reporting:
            self._trials[each].report(float(values[each]), epoch)
        pruned = [each for each in reporting if self._trials[each].should_prune()]
        return np.isin(trial, pruned) & alive


def prunes(hydra: Any) -> bool:
    """Whether a ``hydra`` node is that of a durable sweep with a pruner."""
    sweeper = hydra.sweeper
    swept = str(hydra.mode).rpartition(".")[2] == "MULTIRUN" and sweeper.get("_target_") == SWEEPER
    return swept and bool(sweeper.pruner.get("_target_"))


def pruner_of(hydra: Any, objective: str, maximize: bool, max_epochs: int, models: int) -> Pruner | None:
    """The pruner that the sweep of a job asks for, whose ``models`` train together; None where it asks for none."""
    if not prunes(hydra):  # a run alone is no trial and has no number
        return None
    return pruner(hydra, objective, maximize, max_epochs, [hydra.job.num], models)


def pruner(
    hydra: Any, objective: str, maximize: bool, max_epochs: int, numbers: Sequence[int], models: int = 1
) -> Pruner | None:
    """The pruner that a job's sweep asks for; None outside a durable sweep with one.

    ``hydra`` is the job's node, ``numbers`` those of the trials that train together.
    """
    if not prunes(hydra):
        return None
    import optuna
    from hydra.utils import execution_whitelist, instantiate

    from src.adapters.optuna_internals import storage_of, trial_by_id
    from src.sweeping.storage import explained, location, open_storage

    sweeper = hydra.sweeper
    where = location(sweeper.storage, Path(hydra.runtime.cwd) / hydra.sweep.dir)
    only = execution_whitelist(("optuna.pruners.*",), reset=True)
    with explained(where), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.load_study(
            study_name=sweeper.study_name,
            storage=open_storage(where),
            sampler=optuna.samplers.RandomSampler(),  # the point is chosen already
            pruner=instantiate(sweeper.pruner, _execution_whitelist_=only, _convert_="all"),
        )
        storage, study_id = storage_of(study)
        trial_ids = [storage.get_trial_id_from_study_id_trial_number(study_id, number) for number in numbers]
        trials = [trial_by_id(study, trial_id) for trial_id in trial_ids]
    return Pruner(trials, objective, maximize, max(1, max_epochs // int(sweeper.reports)), models)
