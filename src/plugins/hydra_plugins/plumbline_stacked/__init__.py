"""``hydra/launcher=stacked``: jobs of one structure are trained as one, the others one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class StackedLauncherConf:
    """Members of a stack, and trials of a batch."""

    _target_: str = "hydra_plugins.plumbline_stacked.StackedLauncher"
    # auto: as many members as memory and cache take; a number: at most so many
    width: Any = "auto"
    # trials that hydra/sweeper=durable hands over at a time where it has no n_jobs of its own: all of random and
    # grid up to this many, a sixteenth of them where a sampler (tpe, cmaes, gp, nsgaii) or a pruner learns
    batch: int = 1024
    # who trains the stacks. null: this process; a number: so many processes here; ray: those of a Ray cluster
    workers: Any = None
    # arguments of ray.init, such as address; without any, RAY_ADDRESS or a Ray of this machine's own
    ray: dict[str, Any] = field(default_factory=dict)


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
        workers: None, a number of processes or ``ray``.
        ray: arguments of ``ray.init``.

    Raises:
        SystemExit: one of them is no such number; Hydra would print a traceback for anything else.
    """

    def __init__(self, width: str | int, batch: int, workers: str | int | None = None, ray: Any = None) -> None:
        from src.errors import refuse

        allowed: dict[str, tuple[Any, list[Any]]] = {
            "width": (width, ["auto"]),
            "batch": (batch, []),
            "workers": (workers, [None, "ray"]),
        }
        for name, (value, others) in allowed.items():
            if value not in others and (type(value) is not int or value < 1):
                said = "".join(f"{other} or " for other in others if other)
                refuse(f"hydra.launcher.{name} must be {said}a whole number from 1 on, found {value!r}")
        if workers == "ray" and not find_spec("ray"):
            refuse("hydra.launcher.workers=ray needs the package ray: pip install 'plumbline[ray]'")
        self.width, self.workers = width, workers
        self.ray = OmegaConf.to_container(OmegaConf.create(ray or {}), resolve=True)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what every job needs."""
        setattr(Sweeper, "validate_batch_is_legal", _validate)  # noqa: B010  # Hydra has no other place for it
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs and returns what each came to, in their order."""
        return self.launch_numbered({initial_job_idx + place: list(each) for place, each in enumerate(job_overrides)})

    def launch_numbered(self, jobs: dict[int, list[str]]) -> list[JobReturn]:
        """The same for jobs whose numbers have gaps: of a stack that goes on, who ended is not launched again."""
        from src.stacks.launch import Launch

        done = Launch(self).run(jobs)
        return [done[number] for number in sorted(done)]
