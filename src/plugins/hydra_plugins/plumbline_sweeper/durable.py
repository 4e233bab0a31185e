"""hydra/sweeper=durable: a study that goes on where it stopped; src/jobs/sweep.py does the work."""

import os
import sys
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import II, MISSING, DictConfig


class Durable(Sweeper):
    """Upstream's Optuna sweeper's options, and those of ``DurableConf``."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Sets the launcher up."""
        from hydra.core.plugins import Plugins

        self.config: DictConfig = config
        self.context = hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the sweep; a mistake ends in one line and exit code 2."""
        from src.errors import UserError
        from src.jobs.sweep import Sweep
        from src.sweeping.plan import make_plan
        from src.sweeping.settings import Settings

        def compose(overrides: list[str]) -> DictConfig:
            return self.context.config_loader.load_sweep_config(self.config, overrides)

        try:
            plan = make_plan(Settings(**self.options), self.config, compose, arguments)
            Sweep(self.config, self.context, self.launcher, plan).run()
        except UserError as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            # Hydra prints a traceback for whatever a sweeper raises, except for this.
            print(error, file=sys.stderr)
            raise SystemExit(2) from None


@dataclass
class DurableConf:
    """Upstream's names and defaults, but for ``n_jobs``: with 2, every second trial is chosen half blind."""

    _target_: str = "hydra_plugins.plumbline_sweeper.durable.Durable"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])

    sampler: Any = MISSING
    pruner: Any = MISSING
    direction: Any = "minimize"
    # null: a journal file in the sweep folder; a path: such a file there; a URL: that database
    storage: str | None = None
    # null: the name of the sweep, or of the run. Also the name of the sweep folder.
    study_name: str | None = None
    # of the study, over all invocations
    n_trials: int = 20
    # trials given to the launcher at a time; null: one, or what a launcher with a `batch` of its own can take
    n_jobs: int | None = None
    # share of a batch that may fail, as upstream counts it
    max_failure_rate: float = 1.0
    # failures in a row after which the sweep stops
    max_failures_in_a_row: int = 10
    # processes that may die over a trial before it counts as failed: one death is mostly somebody's doing, and
    # from the second on a trial runs last and alone, so that the third is its own
    lives: int = 3
    # how often a run tells its objective to the pruner
    reports: int = 25
    params: dict[str, str] | None = None
    custom_search_space: str | None = None


# Optuna's pruners by its own names and defaults:
# https://optuna.readthedocs.io/en/stable/reference/pruners.html
@dataclass
class NoneConf:
    """No pruning."""


@dataclass
class MedianConf:
    """Optuna's, with a grace: without one it loses late starters, which are often among the best.

    Where Optuna lets the first five trials train to the end, three do: pruned trials do not count towards
    the median, so that of a sampler that learns stays long at what it tried first.
    """

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 3
    n_warmup_steps: int = II("share:0.2,${trainer.max_epochs}")
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class PercentileConf(MedianConf):
    """Like median, with another share to keep."""

    _target_: str = "optuna.pruners.PercentilePruner"
    percentile: float = 25.0


@dataclass
class SuccessiveHalvingConf:
    """Compares at steps that grow by ``reduction_factor``."""

    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = "auto"
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandConf:
    """Several successive halvings, each with another grace."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = 1
    max_resource: Any = "auto"
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class WilcoxonConf:
    """Compares a run's steps with the best run's, by a signed-rank test."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


@dataclass
class ThresholdConf:
    """Ends what is outside fixed bounds."""

    _target_: str = "optuna.pruners.ThresholdPruner"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0
    interval_steps: int = 1


@dataclass
class PatientConf:
    """Another pruner, asked only after ``patience`` reports without improvement."""

    _target_: str = "optuna.pruners.PatientPruner"
    wrapped_pruner: Any = field(default_factory=MedianConf)
    patience: int = 5
    min_delta: float = 0.0


_store = ConfigStore.instance()
_store.store(group="hydra/sweeper", name="durable", node=DurableConf, provider="plumbline")
for _name, _node in {
    "none": NoneConf,
    "median": MedianConf,
    "percentile": PercentileConf,
    "successive_halving": SuccessiveHalvingConf,
    "hyperband": HyperbandConf,
    "wilcoxon": WilcoxonConf,
    "threshold": ThresholdConf,
    "patient": PatientConf,
}.items():
    _store.store(group="hydra/sweeper/pruner", name=_name, node=_node, provider="plumbline")
