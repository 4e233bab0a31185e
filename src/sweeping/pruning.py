"""Pruning as a run sees it: a watcher that tells the study its objective and asks whether to go on."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import Trial

NUMBER = "PLUMBLINE_TRIAL"  # in hydra.job.env_set, where a job's number is not its trial's
SWEEPER = "hydra_plugins.plumbline_sweeper.durable.Durable"

_SHARE = 1 / 3  # of a run's time that may go into talking to the storage


class Budget:
    """Bounds what talking to the storage costs, by a share of the time since this was made.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._spent = self._longest = 0.0

    def allows(self) -> bool:
        """Whether there is something left."""
        return self._spent <= _SHARE * (self._clock() - self._started)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Counts what the block takes. The longest is left out: it may have paid for an import."""
        before = self._clock()
        yield
        took = self._clock() - before
        self._spent += min(took, self._longest)
        self._longest = max(took, self._longest)


class Pruning:
    """Called after every epoch; True ends the run.

    Trials are compared at equal epochs, so reports come at fixed ones. Where the storage is slow they become
    fewer: a report that would bring the time spent on them above a third of the run's is left out.

    Args:
        trial: the trial that this run is.
        objective: the figure to report.
        maximize: whether larger is better.
        every: epochs between two reports.
        clock: seconds.
    """

    def __init__(
        self,
        trial: "Trial",
        objective: str,
        maximize: bool,
        every: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.trial, self.objective, self.maximize, self.every = trial, objective, maximize, every
        self._budget = Budget(clock)
        self._best: float | None = None

    def __call__(self, epoch: int, row: dict[str, float]) -> bool:
        """Whether to prune."""
        value = self._value(row)
        if value is None or epoch % self.every or not math.isfinite(value):
            return False
        if not self._budget.allows():
            return False
        with self._budget.spending():
            self.trial.report(value, epoch)
            return self.trial.should_prune()

    def _value(self, row: dict[str, float]) -> float | None:
        """The best so far of a figure whose best epoch a run keeps; else the last epoch's training loss."""
        if not self.objective.startswith("val/"):
            loss = row.get("train/loss")
            return -loss if loss is not None and self.maximize else loss
        value = row.get(self.objective)
        if value is not None and math.isfinite(value) and (self._best is None or self._better(value)):
            self._best = value
        return self._best

    def _better(self, value: float) -> bool:
        assert self._best is not None
        return value > self._best if self.maximize else value < self._best


def watchers(hydra: Any, objective: str, maximize: bool, max_epochs: int) -> list[Pruning]:
    """The watchers that the job's sweep asks for; none outside a durable sweep with a pruner.

    Args:
        hydra: the job's ``hydra`` node, as ``HydraConfig.get()`` gives it.
        objective, maximize: what the run is judged by.
        max_epochs: how long it may train; -1 where steps decide.
    """
    if not prunes(hydra):
        return []
    number = int(hydra.job.env_set.get(NUMBER, hydra.job.num))
    return [Pruning(trials(hydra, [number])[0], objective, maximize, every(hydra, max_epochs))]


def prunes(hydra: Any) -> bool:
    """Whether a ``hydra`` node is that of a durable sweep with a pruner."""
    sweeper = hydra.sweeper
    swept = str(hydra.mode).rpartition(".")[2] == "MULTIRUN" and sweeper.get("_target_") == SWEEPER
    return swept and bool(sweeper.pruner.get("_target_"))


def every(hydra: Any, max_epochs: int) -> int:
    """Epochs between two reports."""
    return max(1, max_epochs // int(hydra.sweeper.reports))


def trials(hydra: Any, numbers: Sequence[int]) -> "list[Trial]":
    """The study's trials of these numbers, with its pruner."""
    import warnings

    import optuna
    from hydra.utils import execution_whitelist, instantiate

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
        found = study._storage.get_trial_id_from_study_id_trial_number
        return [optuna.trial.Trial(study, found(study._study_id, number)) for number in numbers]
