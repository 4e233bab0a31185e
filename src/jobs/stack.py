"""Many runs as one training: from jobs of one structure to what each of them came to."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from src import build
from src.data.table import Table
from src.errors import UserError
from src.jobs.fit import interruptible, quiet
from src.results.folder import RunFolder
from src.results.metrics import larger_is_better
from src.stacking.groups import nested
from src.stacking.width import choose, free_memory, is_out_of_memory

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import Tensor, nn

    from src.data.module import DataModule
    from src.stacking.engine import Stack
    from src.stacking.ledger import Ledger, Watcher

    Watch = Callable[[Sequence["Job"]], Watcher]

log = logging.getLogger(__name__)

_SMALL = 1 << 20  # multiply-adds of a step, all members together, below which one thread is enough
_ROWS = 1 << 18  # rows of all members together that are gathered at a time


@dataclass
class Job:
    """A job of a sweep: its resolved configuration, flattened, and where its run goes."""

    number: int
    flat: dict[str, Any]
    folder: RunFolder
    overrides: list[str]


@dataclass
class Trained:
    """A stack at the end of its training; ``shapes`` are one member's parameters by name."""

    jobs: list[Job]
    cfg: DictConfig
    rows: Table
    parts: "list[DataModule]"
    shapes: dict[str, Any]
    module: "Stack"
    ledger: "Ledger"
    trainer: "pl.Trainer"
    optimizers: list[Any]
    threads: int
    seconds: float
    started: float


def widths(cfg: DictConfig, rows: Table, jobs: Sequence[Job], wanted: str | int) -> int:
    """How many of these jobs a stack should hold; 1 where stacking them gains nothing.

    Raises:
        UserError: the configuration cannot be built.
    """
    if wanted != "auto":
        return int(wanted)
    from src.stacking.nets import flat, stacked

    data = build.datamodule(cfg, rows)
    template = build.net(cfg, len(rows.feature_names))
    net = stacked(template)
    assert net is not None
    features, _ = data.encoded("train")
    seeds = {job.flat["seed"] for job in jobs}
    own = features.nbytes if len(seeds) > 1 and (len(data.rows["train"]) < len(rows)) else 0
    device = device_of(cfg)
    width = choose(
        net,
        flat(template).numel(),
        data.batch_size,
        2 * own,
        cfg.trainer.max_epochs,
        features.element_size(),
        free_memory(device),
        device == "cpu",
    )
    return min(width, len(jobs))


def device_of(cfg: DictConfig) -> str:
    """``cuda``, ``cpu`` or another: where Lightning will train."""
    import torch

    accelerator = str(cfg.trainer.accelerator)
    if accelerator in ("auto", "gpu", "cuda"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator


def train(
    cfg: DictConfig,
    rows: Table,
    jobs: Sequence[Job],
    width: int,
    progress: "pl.Callback | None" = None,
    watch: "Watch | None" = None,
) -> "Iterator[Trained]":
    """Trains jobs, so many at a time, and yields each stack as it is done.

    A stack for which memory does not suffice is halved.

    Args:
        cfg: of the first of them, resolved.
        rows: what all of them learn from.
        jobs: of one structure.
        width: most members of a stack.
        progress: shows the training.
        watch: makes from a stack's jobs who decides which of them to prune.

    Raises:
        UserError: something in the configuration cannot be built.
    """
    waiting = [list(jobs[start : start + width]) for start in range(0, len(jobs), width)]
    while waiting:
        part = waiting.pop(0)
        try:
            trained = _train_one(cfg, rows, part, progress, watch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(part) == 1:
                raise
            half = -(-len(part) // 2)
            log.warning("a stack of %d ran out of memory; going on with %d at a time", len(part), half)
            everything = [job for group in (part, *waiting) for job in group]
            waiting = [everything[start : start + half] for start in range(0, len(everything), half)]
            continue
        yield trained


def _train_one(
    cfg: DictConfig, rows: Table, jobs: list[Job], progress: "pl.Callback | None", watch: "Watch | None"
) -> Trained:
    import torch
    from lightning.pytorch.callbacks import Checkpoint

    from src.stacking.engine import Stack
    from src.stacking.ledger import Ledger
    from src.stacking.losses import Losses
    from src.stacking.nets import flat, stacked
    from src.stacking.rows import StackData
    from src.stacking.rules import FLAGS, Rule
    from src.training.threads import threads

    started = time.perf_counter()
    parts = _parts(cfg, rows, jobs)
    nets = _nets(cfg, rows, jobs)
    net = stacked(nets[0])
    assert net is not None
    weights = torch.stack([flat(each) for each in nets])
    seeds = [job.flat["seed"] for job in jobs]
    record = build.record(cfg, parts[0], [])
    ledger = Ledger(len(jobs), record.monitor, record.maximize, watch(jobs) if watch else None)
    optimizers = [_optimizer(cfg, job) for job in jobs]
    kind = cfg.optimizer._target_
    schedule, interval, monitor = _schedule(cfg, jobs, parts[0], optimizers)
    momentum = "momentum" in getattr(schedule, "values", ())
    flags = frozenset(
        [flag for flag in FLAGS if cfg.optimizer.get(flag)] + ["decoupled"] * (kind == "torch.optim.AdamW")
    )
    clip = cfg.trainer.gradient_clip_val
    module = Stack(
        net,
        weights,
        lambda like: Rule(kind, _settings(jobs, momentum, like.device), flags, like),
        lambda like: Losses(
            [job.flat["loss._target_"] for job in jobs], [job.flat.get("loss.delta", 1.0) for job in jobs], like
        ),
        schedule,
        interval,
        monitor,
        None if clip is None else (clip, cfg.trainer.gradient_clip_algorithm),
        [job.flat["model.dropout"] for job in jobs] if cfg.model.get("dropout") else None,
        seeds,
        ledger,
    )
    data = StackData(parts, seeds if cfg.data.shuffle else None, _ROWS)
    # A callback of this kind, even an idle one, keeps Lightning from writing checkpoints of its own.
    callbacks: list[Any] = [Checkpoint(), *([progress] if progress else [])]
    with quiet():
        trainer = build.trainer(cfg, callbacks, [], data)  # type: ignore[arg-type]
    fit_started = time.perf_counter()
    number = cfg.trainer.threads
    if not isinstance(number, int):
        number = 1 if weights.numel() * data.batch_size <= _SMALL else torch.get_num_threads()
    with interruptible(ledger), quiet(), threads(number):
        trainer.fit(module, datamodule=data)
    whole = ledger.present[ledger.alive]
    ledger.epochs[whole], ledger.steps[whole] = trainer.current_epoch, trainer.global_step
    module.write_down(np.flatnonzero([ledger.stopped[m] in (None, "interrupted") for m in ledger.present]))
    shapes = {name: tensor.shape for name, tensor in nets[0].state_dict().items()}
    seconds = time.perf_counter() - fit_started
    return Trained(jobs, cfg, rows, parts, shapes, module, ledger, trainer, optimizers, number, seconds, started)


def _parts(cfg: DictConfig, rows: Table, jobs: list[Job]) -> "list[DataModule]":
    """The DataModule of each job: one for all, unless their seeds split the rows differently."""
    splits = bool(cfg.data.val_fraction or cfg.data.test_fraction)
    made: dict[int, Any] = {}
    for job in jobs:
        key = job.flat["seed"] if splits else 0
        if key not in made:
            cfg.seed = job.flat["seed"]
            made[key] = build.datamodule(cfg, rows)
    return [made[job.flat["seed"] if splits else 0] for job in jobs]


def _nets(cfg: DictConfig, rows: Table, jobs: list[Job]) -> "list[nn.Module]":
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


def _optimizer(cfg: DictConfig, job: Job) -> Any:
    """The constructor of a job's optimizer."""
    from functools import partial

    import torch

    options = {name: value for name, value in nested(job.flat, "optimizer").items() if not name.startswith("_")}
    return partial(getattr(torch.optim, cfg.optimizer._target_.rpartition(".")[2]), **options)


def _schedule(cfg: DictConfig, jobs: list[Job], data: "DataModule", optimizers: list[Any]) -> tuple[Any, str, str]:
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


def _settings(jobs: list[Job], momentum: bool, device: Any) -> "dict[str, Tensor]":
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


def worst(name: str) -> float:
    """The objective of a run that diverged."""
    return float("-inf") if larger_is_better(name) else float("inf")
