"""hydra/sweeper=durable: a study that goes on where it stopped; src/sweeping/sweep.py does the work."""

import os
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper.config import TPESamplerConfig
from omegaconf import II, MISSING, DictConfig


class Durable(Sweeper):
    """Takes the options of ``DurableConf``, which are read where they stand in the configuration."""

    def __init__(self, **options: Any) -> None: ...

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
        from src.errors import UserError, refuse
        from src.sweeping.plan import Plan
        from src.sweeping.sweep import Sweep

        def compose(overrides: list[str]) -> DictConfig:
            return self.context.config_loader.load_sweep_config(self.config, overrides)

        try:
            Sweep(self.launcher, Plan(self.config, compose, arguments)).run()
        except UserError as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            refuse(error)


@dataclass
class TPE(TPESamplerConfig):
    """Upstream's; for a durable sweep, with parameters sampled together and running trials counted as bad ones."""

    constant_liar: bool = II("oc.select:hydra.sweeper.joint,false")
    multivariate: bool = II("oc.select:hydra.sweeper.joint,false")
    group: bool = II("oc.select:hydra.sweeper.joint,false")


@dataclass
class DurableConf:
    """Upstream's names and defaults, but for ``n_jobs``: with 2, every second trial is chosen half blind.

    The pruners are in conf/hydra/sweeper/pruner, by Optuna's own names and defaults.
    """

    _target_: str = "hydra_plugins.plumbline_sweeper.durable.Durable"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])

    sampler: Any = MISSING
    pruner: Any = MISSING
    direction: Any = None  # null: as the objective's figures need it
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
    # how often a trial runs again whose process died over it alone, before it counts as failed: one death is mostly
    # somebody's doing, and from the second on a trial runs last. Who died beside others runs again by halves
    max_retries: int = 2
    # how often a run tells its objective to the pruner
    reports: int = 25
    # what tpe's constant_liar, multivariate and group are unless they are set themselves: in batches of eight the liar
    # halved the median regret
    joint: bool = True
    params: dict[str, str] | None = None
    custom_search_space: str | None = None


ConfigStore.instance().store(group="hydra/sweeper/sampler", name="tpe", node=TPE, provider="plumbline", replace=True)
ConfigStore.instance().store(group="hydra/sweeper", name="durable", node=DurableConf, provider="plumbline")
