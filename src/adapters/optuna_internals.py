"""What a durable study needs of Optuna beyond its public interface; written for Optuna 5.0.

Publicly a study makes a trial only itself, the next one, and keeps its list of trials from one ``tell`` of its thread
to the next. A study that hands the same trial out again after a kill needs trials by their ids and a fresh list.
"""

from typing import TYPE_CHECKING, Any

from optuna.storages.journal._storage import JournalOperation
from optuna.trial import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study


def storage_of(study: "Study") -> "tuple[BaseStorage, int]":
    """A study's storage, and the study's id in it."""
    return study._storage, study._study_id


def trial_by_id(study: "Study", trial_id: int) -> Trial:
    """A running trial, whoever made it, its point still to be proposed."""
    return Trial(study, trial_id)


def propose(trial: Trial, sampler: "BaseSampler") -> None:
    """Has a sampler choose what is suggested next, from what all processes have finished by now."""
    trial.study.sampler = sampler
    trial.study._thread_local.cached_all_trials = None
    sampler.before_trial(trial.study, trial._cached_frozen_trial)


def id_of(trial: Any) -> int:
    """A trial's id in its storage."""
    return int(trial._trial_id)


def suggest(trial: Trial, name: str, distribution: "BaseDistribution") -> Any:
    """A parameter's value; the one that it has, if it was suggested before."""
    return trial._suggest(name, distribution)


def ends_a_trial(record: dict[str, Any]) -> bool:
    """Whether a journal's record is that of a trial's end, or of its being taken."""
    return bool(record["op_code"] == JournalOperation.SET_TRIAL_STATE_VALUES)
