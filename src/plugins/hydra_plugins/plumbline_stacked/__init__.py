"""``hydra/launcher=stacked``: jobs of one structure are trained as one, the others one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class StackedLauncherConf:
    """Members of a stack, and trials of a batch."""

    _target_: str = "hydra_plugins.plumbline_stacked.StackedLauncher"
    # auto: as many members as memory and cache take; a number: at most so many
    width: Any = "auto"
    # trials that hydra/sweeper=durable hands over at a time where it has no n_jobs of its own: all of random and
    # grid up to this many, a sixteenth of them where a sampler (tpe, cmaes, gp, nsgaii) or a pruner learns
    batch: int = 1024


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=StackedLauncherConf, provider="plumbline")


_validate_each = Sweeper.validate_batch_is_legal


def _validate(sweeper: Any, batch: Sequence[Sequence[str]]) -> None:
    """As Hydra does it, unless this launcher is going to: composing a thousand jobs takes it a minute."""
    if not isinstance(sweeper.launcher, StackedLauncher):
        _validate_each(sweeper, batch)


class StackedLauncher(Launcher):
    """Trains the batch of jobs that a sweeper hands it.

    Args:
        width: most members of a stack; ``auto`` chooses by memory and cache.
        batch: how many trials are worth handing over at a time; the sweeper reads it.

    Raises:
        SystemExit: one of them is no such number; Hydra would print a traceback for anything else.
    """

    def __init__(self, width: str | int, batch: int) -> None:
        from src.errors import refuse

        for name, value, others in (("width", width, "auto or "), ("batch", batch, "")):
            if not (others and value == "auto") and (type(value) is not int or value < 1):
                refuse(f"hydra.launcher.{name} must be {others}a whole number from 1 on, found {value!r}")
        self.width = width

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what every job needs."""
        setattr(Sweeper, "validate_batch_is_legal", _validate)  # noqa: B010  # Hydra has no other place for it
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs and returns what each came to, in their order."""
        from src.stacks.launch import Launch

        return Launch(self).run(job_overrides, initial_job_idx)
