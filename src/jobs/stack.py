"""Many runs as one training: from jobs of one structure to what each of them came to."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src import build
from src.data.partition import Partition
from src.data.table import Table
from src.jobs.fit import interruptible, quiet
from src.jobs.outcome import decoder, elapsed, is_line
from src.results.folder import RunFolder
from src.training.width import free_memory, is_out_of_memory, width_of
from src.values import Config, Values, container

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import nn

    from src.training.chains import Chains
    from src.training.engine import Engine
    from src.training.history import History, Pruner
    from src.training.schedules import Schedule
    from src.training.stack import Stack

    Watch = Callable[[Sequence["Job"]], Pruner | None]

log = logging.getLogger(__name__)

_SAMPLE = 64  # rows on which forms are compared and hidden values counted


@dataclass
class Job:
    """A job of a sweep: its resolved configuration, and where its run goes."""

    number: int
    cfg: Config
    folder: RunFolder
    overrides: list[str]


@dataclass
class Trained:
    """A stack at the end of its training; ``nets`` are of each member's form."""

    jobs: list[Job]
    parts: list[Partition]
    nets: "list[nn.Module]"
    module: "Engine"
    history: "History"
    trainer: "pl.Trainer"
    threads: int
    seconds: float
    started: float


class Group:
    """Jobs that can be trained as one, made ready.

    Args:
        rows: what all of them learn from.
        jobs: of one structure.
        nets: of each as it starts; equal starts are one object.

    Raises:
        Alone: they have no common form; the message says why.
        UserError: something in the configuration cannot be built.
    """

    def __init__(self, rows: Table, jobs: Sequence[Job], nets: "Sequence[nn.Module]") -> None:
        from src.training.losses import check_losses

        self.jobs, self.cfg, self._nets = list(jobs), jobs[0].cfg, list(nets)
        self._parts = _parts(rows, jobs)
        self._losses = _losses(jobs)
        sizes = [(len(p.rows["train"]), job.cfg.data.batch_size) for p, job in zip(self._parts, jobs, strict=True)]
        check_losses(self._losses, ragged=len(set(sizes)) > 1)
        first = self._parts[0]
        self._features = first.sample(min(self._batch(), _SAMPLE))[0]
        distinct = {id(net): place for place, net in reversed(list(enumerate(nets)))}
        together([nets[p] for p in distinct.values()], [jobs[p].cfg.seed for p in distinct.values()], self._features)

    def width(self, wanted: str | int) -> int:
        """How many of the jobs a stack should hold; 1 where stacking them gains nothing."""
        if wanted != "auto":
            return int(wanted)
        own = {id(part): part for part in self._parts}
        device = device_of(self.cfg)
        numbers = self._features.nbytes // len(self._features) * len(self._parts[0].rows["train"])
        width = width_of(
            max(self._nets, key=lambda net: sum(parameter.numel() for parameter in net.parameters())),
            self._features,
            self._batch(),
            numbers * 2 if len(own) > 1 else 0,
            max(job.cfg.trainer.max_epochs for job in self.jobs),
            free_memory(device),
            device == "cpu",
        )
        return min(width, len(self.jobs))

    def _batch(self) -> int:
        """Rows of an optimizer step, the most of any member."""
        return max(
            min(job.cfg.data.batch_size or len(part.rows["train"]), len(part.rows["train"]))
            for job, part in zip(self.jobs, self._parts, strict=True)
        )

    def train(self, width: int, progress: "pl.Callback | None", watch: "Watch | None") -> "Iterator[Trained]":
        """Trains the jobs, so many at a time, and yields each stack as it is done.

        A stack for which memory does not suffice is halved.

        Args:
            width: most members of a stack.
            progress: shows the training.
            watch: makes from a stack's jobs who decides which of them to prune.
        """
        places = range(len(self.jobs))
        waiting = [list(places[start : start + width]) for start in range(0, len(places), width)]
        while waiting:
            some = waiting.pop(0)
            try:
                trained = self._train(some, progress, watch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(some) == 1:
                    raise
                half = -(-len(some) // 2)
                log.warning("a stack of %d ran out of memory; going on with %d at a time", len(some), half)
                rest = [place for each in (some, *waiting) for place in each]
                waiting = [rest[start : start + half] for start in range(0, len(rest), half)]
                continue
            yield trained

    def _train(self, places: list[int], progress: "pl.Callback | None", watch: "Watch | None") -> Trained:
        from lightning.pytorch.callbacks import Checkpoint

        from src.training.engine import Engine
        from src.training.history import History
        from src.training.optimizers import Agreeing, Differing
        from src.training.threads import threads, threads_for

        started = time.perf_counter()
        cfg = self.cfg
        jobs, parts, nets, losses = (
            [items[place] for place in places] for items in (self.jobs, self._parts, self._nets, self._losses)
        )
        seeds = [job.cfg.seed for job in jobs]
        stack = together(nets, seeds, self._features)
        history = History(
            len(jobs),
            *build.monitored(cfg),
            _stoppers(jobs),
            watch(jobs) if watch else None,
            _lengths(jobs),
            decoder(parts) if all(is_line(net) for net in nets) else None,
        )
        data = build.datamodule(cfg, parts, seeds, [job.cfg.data.batch_size for job in jobs], False, True)
        makes = build.makers([container(job.cfg.optimizer) for job in jobs], "optimizer")
        nodes = [container(job.cfg.scheduler) for job in jobs]
        schedules = build.schedules(nodes, bool(len(parts[0].rows["val"])))
        lengths = [build.schedule_length(job.cfg, schedules and schedules[0], data.batches) for job in jobs]
        for place in {id(s): place for place, s in enumerate(schedules or [])}.values():
            build.try_out(makes[place], schedules[place] if schedules else None, lengths[place])
        agree = len({id(make) for make in makes}) == 1 and not data.gather.ragged
        agree &= schedules is None or (len({id(s.factory) for s in schedules}) == 1 and not schedules[0].plateau)
        agree &= history.max_epochs is None
        by_hand = [float(job.cfg.optimizer.lr) for job in jobs] if build.is_by_hand(cfg) else None

        def optimizer() -> Any:
            if agree:
                return Agreeing(stack.matrix, makes[0])
            cycled = ("momentum",) if schedules and not schedules[0].plateau else ()
            return Differing(stack.matrix, makes, cycled)

        module = Engine(
            stack,
            losses,
            optimizer,
            lambda made: _scheduler(made, schedules, makes, lengths),
            history,
            build.clip(cfg),
            by_hand,
        )
        # A callback of this kind, even an idle one, keeps Lightning from writing checkpoints of its own.
        callbacks: list[Any] = [Checkpoint(), *([progress] if progress else [])]
        with quiet():
            trainer = build.trainer(_longest(cfg, jobs), callbacks, [], False, True)
        fit_started = time.perf_counter()
        number = threads_for(stack.rows().numel(), data.batch_size, cfg.trainer.threads)
        with interruptible(history), quiet(), threads(number):
            trainer.fit(module, datamodule=data)
            assert module.epochs is not None
            module.epochs.finish(trainer.global_step, trainer.current_epoch)
        history.flush()
        return Trained(jobs, parts, nets, module, history, trainer, number, elapsed(fit_started), started)


def together(nets: "Sequence[nn.Module]", seeds: Sequence[int], features: Any) -> "Stack | Chains":
    """Nets as a stack: of one form, or chains of layers whose depth, widths and activations differ.

    Raises:
        Alone: they have none.
    """
    from src.training.chains import chained
    from src.training.stack import stacked

    return (stacked if len({form(net) for net in nets}) == 1 else chained)(nets, seeds, features)


def form(net: "nn.Module") -> Any:
    """Equal for nets that differ in numbers only: weights, and how often they drop values."""
    from torch import nn

    modules = [
        (name, type(module), "" if type(module) is nn.Dropout else module.extra_repr())
        for name, module in net.named_modules()
    ]
    return tuple(modules), tuple((name, part.shape, part.requires_grad) for name, part in net.named_parameters())


def nets_of(features: int, jobs: Sequence[Job]) -> "list[nn.Module]":
    """Each job's net as it starts; equal starts are one object."""
    import torch

    factories: dict[str, Any] = {}
    made: dict[tuple[Any, ...], Any] = {}
    found = []
    for job in jobs:
        model = container(job.cfg.model)
        init = model.pop("init", None)
        key = (job.cfg.seed, repr(model), repr(init))
        if key not in made:
            if key[1] not in factories:
                factories[key[1]] = build.net_factory(job.cfg, features)
            torch.manual_seed(job.cfg.seed)
            with build.precision(job.cfg):
                made[key] = factories[key[1]](**({"init": init} if init is not None else {}))
        found.append(made[key])
    return found


def device_of(cfg: Config) -> str:
    """``cuda``, ``cpu`` or another: where Lightning will train."""
    import torch

    accelerator = str(cfg.trainer.accelerator)
    if accelerator in ("auto", "gpu", "cuda"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator


def _parts(rows: Table, jobs: Sequence[Job]) -> list[Partition]:
    """What each job learns from: one for all, unless their seeds or shares split the rows differently."""
    made: dict[Any, Partition] = {}
    found = []
    for job in jobs:
        data = job.cfg.data
        splits = data.val_fraction or data.test_fraction
        standardize = job.cfg.model.standardize if data.standardize == "auto" else data.standardize
        key = (data.val_fraction, data.test_fraction, standardize, job.cfg.seed if splits else 0)
        if key not in made:
            made[key] = build.partition(job.cfg, rows, job.cfg.seed)
        found.append(made[key])
    return found


def _losses(jobs: Sequence[Job]) -> list[Any]:
    made: dict[str, Any] = {}
    found = []
    for job in jobs:
        text = repr(container(job.cfg.loss))
        if text not in made:
            made[text] = build.construct(job.cfg.loss, "loss")
        found.append(made[text])
    return found


def _stoppers(jobs: Sequence[Job]) -> list[Any]:
    """Early stopping of members that have it, with settings of their own."""
    from src.training.early_stopping import EarlyStopping, EarlyStops

    found = []
    for name, node in (jobs[0].cfg.callbacks or {}).items():
        if str(node.get("_target_")).endswith(f".{EarlyStopping.__name__}"):
            settings = [build.construct(job.cfg.callbacks[name], f"callbacks.{name}") for job in jobs]
            found.append(("stopped early", EarlyStops(settings)))
    return found


def _lengths(jobs: Sequence[Job]) -> list[int] | None:
    epochs = [int(job.cfg.trainer.max_epochs) for job in jobs]
    return epochs if len(set(epochs)) > 1 else None


def _longest(cfg: Config, jobs: Sequence[Job]) -> Config:
    """The configuration with the epochs of whoever trains longest."""
    most = max(int(job.cfg.trainer.max_epochs) for job in jobs)
    return Values(cfg, trainer=Values(cfg.trainer, max_epochs=most))


def _scheduler(made: Any, schedules: "list[Schedule] | None", makes: list[Any], lengths: list[int]) -> Any:
    """What moves the learning rates of an optimizer's members."""
    import torch

    from src.training.optimizers import Agreeing
    from src.training.schedules import Plateau, Sequences, TorchScheduler

    if schedules is None:
        return None
    if isinstance(made, Agreeing):
        return TorchScheduler(made.torch, schedules[0].build(made.torch, lengths[0]), schedules[0])
    if schedules[0].plateau:
        own = [s.build(make([torch.zeros(1, requires_grad=True)]), 1) for s, make in zip(schedules, makes, strict=True)]
        return Plateau(own, schedules[0].monitor, made)  # type: ignore[arg-type]
    return Sequences(schedules, makes, lengths)
