"""What a stack is made of, and what it came to."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config import build
from src.config.values import Config, Values
from src.data.partition import Partition
from src.data.table import Table
from src.stacks.job import Job

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import nn

    from src.training.checkpoints import Checkpoints
    from src.training.early_stopping import Stopping
    from src.training.engine import Engine
    from src.training.history import History


@dataclass(frozen=True)
class Ready:
    """A job with what it is made of; equal parts are one object. It begins, or goes on from a checkpoint."""

    job: Job
    part: Partition
    net: "nn.Module"
    loss: "nn.Module"
    point: Path | None = None


@dataclass
class Trained:
    """A stack in training, or at its end."""

    ready: list[Ready]
    module: "Engine"
    history: "History"
    stops: "dict[str, list[Stopping]]"
    trainer: "pl.Trainer"
    threads: int
    started: float
    seconds: float = 0.0  # of training
    opened: set[int] = field(default_factory=set)  # whose folders are made
    written: int = 0  # epochs of this training that are in them
    summaries: dict[int, dict[str, Any]] = field(default_factory=dict)  # what members that ended came to


def parts_of(rows: Table, jobs: Sequence[Job]) -> list[Partition]:
    """What each job learns from: one for all, unless their seeds or shares split the rows differently."""
    made: dict[Any, Partition] = {}
    found = []
    for job in jobs:
        data = job.cfg.data
        splits = data.val_fraction or data.test_fraction
        seed = job.cfg.seed if data.get("split_seed") is None else data.split_seed
        fold, scalings = job.cfg.get("fold"), build.scalings(job.cfg)
        key = (data.val_fraction, data.test_fraction, *scalings, seed if splits else 0, fold)
        if key not in made:
            made[key] = build.partition(job.cfg, rows)
        found.append(made[key])
    return found


def stops_of(jobs: Sequence[Job]) -> "dict[str, list[Stopping]]":
    """Each reason to stop by the name of its state in a checkpoint, one for each member."""
    from src.training.early_stopping import Stopping

    found: dict[str, list[Stopping]] = {}
    for name in jobs[0].cfg.callbacks or {}:
        settings = build.alike([(job.cfg.callbacks[name], f"callbacks.{name}") for job in jobs])
        if isinstance(settings[0], Stopping):
            found[settings[0].state_key] = [copy.copy(each) for each in settings]
    return found


def epochs_of(jobs: Sequence[Job]) -> list[int] | None:
    epochs = [int(job.cfg.trainer.max_epochs) for job in jobs]
    return epochs if len(set(epochs)) > 1 else None


def longest(cfg: Config, jobs: Sequence[Job]) -> Config:
    """The configuration with the epochs of whoever trains longest."""
    most = max(int(job.cfg.trainer.max_epochs) for job in jobs)
    return Values(cfg, trainer=Values(cfg.trainer, max_epochs=most))


def checkpoints_of(cfg: Config) -> "Checkpoints":
    """When checkpoints are written; never, where no callback says so.

    A callback of this kind, even an idle one, keeps Lightning from writing checkpoints of its own.
    """
    from src.training.checkpoints import Checkpoints

    for name, node in (cfg.callbacks or {}).items():
        if isinstance(found := build.construct(node, f"callbacks.{name}"), Checkpoints):
            return found
    return Checkpoints(math.inf)
