"""What a stack is made of, from the configurations of its jobs: rows, nets, optimizers, schedules."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from src import build
from src.data.table import Table
from src.errors import UserError
from src.results.folder import RunFolder
from src.stacking.groups import nested

if TYPE_CHECKING:
    from torch import Tensor, nn

    from src.data.module import DataModule


@dataclass
class Job:
    """A job of a sweep: its resolved configuration, flattened, and where its run goes."""

    number: int
    flat: dict[str, Any]
    folder: RunFolder
    overrides: list[str]


def data_of(cfg: DictConfig, rows: Table, jobs: list[Job]) -> "list[DataModule]":
    """The DataModule of each job: one for all, unless their seeds split the rows differently."""
    splits = bool(cfg.data.val_fraction or cfg.data.test_fraction)
    made: dict[int, Any] = {}
    for job in jobs:
        key = job.flat["seed"] if splits else 0
        if key not in made:
            cfg.seed = job.flat["seed"]
            made[key] = build.datamodule(cfg, rows)
    return [made[job.flat["seed"] if splits else 0] for job in jobs]


def nets_of(cfg: DictConfig, rows: Table, jobs: list[Job]) -> "list[nn.Module]":
    """Each job's net as it starts; equal starts are one object."""
    import torch

    made: dict[tuple[Any, ...], Any] = {}
    keys = []
    features = len(rows.feature_names)
    make = build.net_factory(cfg, features)
    with build.precision(cfg):
        for job in jobs:
            init = nested(job.flat, "model.init")
            keys.append((job.flat["seed"], *init.values()))
            if keys[-1] not in made:
                torch.manual_seed(job.flat["seed"])
                made[keys[-1]] = make(**({"init": init} if init else {}))
    return [made[key] for key in keys]


def optimizer_of(cfg: DictConfig, job: Job) -> Any:
    """The constructor of a job's optimizer."""
    from functools import partial

    import torch

    options = {name: value for name, value in nested(job.flat, "optimizer").items() if not name.startswith("_")}
    return partial(getattr(torch.optim, cfg.optimizer._target_.rpartition(".")[2]), **options)


def schedule_of(cfg: DictConfig, jobs: list[Job], data: "DataModule", optimizers: list[Any]) -> tuple[Any, str, str]:
    """The stack's schedule, when it moves and what it watches.

    Raises:
        UserError: a scheduler refuses its arguments.
    """
    if not cfg.scheduler.get("_target_"):
        return None, "epoch", "train/loss"
    import torch
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    from src.stacking.schedules import Plateau, Sequences

    hidden = ("interval", "monitor")
    factories = []
    for job in jobs:
        node = {name: value for name, value in nested(job.flat, "scheduler").items() if name not in hidden}
        factories.append(build.construct(node, "scheduler"))
    monitor = cfg.scheduler.monitor or ("val/mse" if len(data.rows["val"]) else "train/loss")
    interval = cfg.scheduler.interval
    try:
        if factories[0].func is ReduceLROnPlateau:
            made = [
                make(optimizer([torch.zeros(1, requires_grad=True)]))
                for make, optimizer in zip(factories, optimizers, strict=True)
            ]
            return Plateau(made), interval, monitor
        length = cfg.trainer.max_epochs * (data.batches if interval == "step" else 1)
        return Sequences(factories, optimizers, length), interval, monitor
    except (ValueError, TypeError) as error:
        raise UserError(f"scheduler: {str(error).splitlines()[0]}") from error


def settings_of(jobs: list[Job], momentum: bool, device: Any) -> "dict[str, Tensor]":
    """Hyperparameters as (members, 1) tensors; those that do nothing are left out."""
    import torch

    found: dict[str, list[float]] = {}
    for job in jobs:
        for name, value in nested(job.flat, "optimizer").items():
            if name == "betas":
                found.setdefault("beta1", []).append(value[0])
                found.setdefault("beta2", []).append(value[1])
            elif name in ("lr", "momentum", "weight_decay", "eps", "alpha"):
                found.setdefault(name, []).append(value)
    idle = [name for name in ("momentum", "weight_decay") if name in found and not any(found[name])]
    return {
        name: torch.tensor(values, dtype=torch.float64, device=device)[:, None]
        for name, values in found.items()
        if name not in idle or (name == "momentum" and momentum)
    }
