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
from src.jobs.fit import interruptible, quiet
from src.jobs.ingredients import Job, data_of, nets_of, optimizer_of, schedule_of, settings_of
from src.results.metrics import larger_is_better
from src.stacking.width import choose, free_memory, is_out_of_memory

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from src.data.module import DataModule
    from src.stacking.engine import Stack
    from src.stacking.ledger import Ledger, Watcher

    Watch = Callable[[Sequence[Job]], Watcher]

log = logging.getLogger(__name__)

_ROWS = 1 << 18  # rows of all members together that are gathered at a time


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
    from src.training.threads import threads, threads_for

    started = time.perf_counter()
    parts = data_of(cfg, rows, jobs)
    nets = nets_of(cfg, rows, jobs)
    net = stacked(nets[0])
    assert net is not None
    weights = torch.stack([flat(each) for each in nets])
    seeds = [job.flat["seed"] for job in jobs]
    record = build.record(cfg, parts[0], [])
    ledger = Ledger(len(jobs), record.monitor, record.maximize, watch(jobs) if watch else None)
    optimizers = [optimizer_of(cfg, job) for job in jobs]
    kind = cfg.optimizer._target_
    schedule, interval, monitor = schedule_of(cfg, jobs, parts[0], optimizers)
    momentum = "momentum" in getattr(schedule, "values", ())
    flags = frozenset(
        [flag for flag in FLAGS if cfg.optimizer.get(flag)] + ["decoupled"] * (kind == "torch.optim.AdamW")
    )
    clip = cfg.trainer.gradient_clip_val
    module = Stack(
        net,
        weights,
        lambda like: Rule(kind, settings_of(jobs, momentum, like.device), flags, like),
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
        trainer = build.trainer(cfg, callbacks, [], data.span)
    fit_started = time.perf_counter()
    number = threads_for(weights.numel(), data.batch_size, cfg.trainer.threads)
    with interruptible(ledger), quiet(), threads(number):
        trainer.fit(module, datamodule=data)
    whole = ledger.present[ledger.alive]
    ledger.epochs[whole], ledger.steps[whole] = trainer.current_epoch, trainer.global_step
    module.write_down(np.flatnonzero([ledger.stopped[m] in (None, "interrupted") for m in ledger.present]))
    shapes = {name: tensor.shape for name, tensor in nets[0].state_dict().items()}
    seconds = time.perf_counter() - fit_started
    return Trained(jobs, cfg, rows, parts, shapes, module, ledger, trainer, optimizers, number, seconds, started)


def worst(name: str) -> float:
    """The objective of a run that diverged."""
    return float("-inf") if larger_is_better(name) else float("inf")
