"""Many runs as one training: from jobs of one structure to what each of them came to."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from src.config import build, losses, optimization, starting
from src.config.objective import monitored
from src.config.trainer import make_trainer
from src.config.values import Config
from src.data.executions import step_rows
from src.data.table import Table
from src.runs.fit import quiet
from src.runs.outcome import decoder, elapsed
from src.stacks.going_on import alike, restorer
from src.stacks.job import Job
from src.stacks.nets import together
from src.stacks.optimization import Optimization
from src.stacks.ready import Ready, Trained, checkpoints_of, epochs_of, longest, parts_of, stops_of
from src.training.stack_width import free_memory, is_out_of_memory, width_of

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import nn

    from src.training.history import Pruner
    from src.training.stack import Stack

    Watch = Callable[[Sequence[Job]], Pruner | None]
    Write = Callable[[Trained, bool], None]

log = logging.getLogger(__name__)

_SAMPLE = 64  # rows on which forms are compared and hidden values counted


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
        from src.training.chains import in_order
        from src.training.losses import check_losses

        self.cfg = jobs[0].cfg
        parts = parts_of(rows, jobs)
        own = losses.losses([job.cfg for job in jobs])
        each = list(zip(nets, parts, jobs, strict=True))
        starts = [(id(net), id(part), tuple(build.levels(job.cfg))) for net, part, job in each]
        made = {start: starting.start(net, part, job.cfg) for start, (net, part, job) in zip(starts, each, strict=True)}
        nets = [made[start] for start in starts]
        starting.check_outputs(nets[0], parts[0], jobs[0].cfg)
        ready = [Ready(*of) for of in zip(jobs, parts, nets, own, strict=True)]
        self._ready = [ready[place] for place in in_order(nets)]
        sizes = {(len(each.part.rows["train"]), each.job.cfg.data.batch_size) for each in self._ready}
        self._ragged = len(sizes) > 1
        check_losses(own, self._ragged)
        self._features = parts[0].sample(min(self._batch(), _SAMPLE))[0]
        distinct = [*{id(each.net): each for each in reversed(self._ready)}.values()][::-1]
        self._tried: tuple[list[Ready], Stack] | None = (distinct, self._together(distinct))

    def width(self, wanted: str | int) -> int:
        """How many of the jobs a stack should hold; 1 where stacking them gains nothing."""
        if wanted != "auto":
            return int(wanted)
        apart = len({id(each.part) for each in self._ready}) > 1
        device = device_of(self.cfg)
        numbers = self._features.nbytes // len(self._features) * len(self._ready[0].part.rows["train"])
        width = width_of(
            max((each.net for each in self._ready), key=lambda net: sum(p.numel() for p in net.parameters())),
            self._features,
            self._batch(),
            numbers * 2 if apart else 0,
            max(each.job.cfg.trainer.max_epochs for each in self._ready),
            free_memory(device),
            device == "cpu",
        )
        return min(width, len(self._ready))

    def _together(self, some: "Sequence[Ready]") -> "Stack":
        return together([each.net for each in some], [each.job.cfg.seed for each in some], self._features, self._ragged)

    def _batch(self) -> int:
        """Rows of an optimizer step, the most of any member."""
        counts = [(each.job.cfg.data.batch_size, len(each.part.rows["train"])) for each in self._ready]
        return max(step_rows(size, rows) for size, rows in counts)

    def train(
        self, width: int, progress: "pl.Callback | None", watch: "Watch | None", write: "Write | None" = None
    ) -> "Iterator[Trained]":
        """Trains the jobs, so many at a time, and yields each stack as it is done.

        A stack for which memory does not suffice is halved. Where checkpoints are written, jobs that have some go on
        from there; those that were over already are left out.

        Args:
            width: most members of a stack.
            progress: shows the training.
            watch: makes from a stack's jobs who decides which of them to prune; it begins with all that train.
            write: writes the members' checkpoints, every so often and, told so, when training is over; None: nothing is
                written before the end.

        Raises:
            UserError: a job goes on from a run with other rows.
        """
        begins = write is None or watch is not None
        for each in [self._ready] if begins else alike(self._ready):
            yield from self._train_all(each, width, progress, watch, write)

    def _train_all(
        self, ready: list[Ready], width: int, progress: "pl.Callback | None", watch: "Watch | None", write: Any
    ) -> "Iterator[Trained]":
        waiting = _cut(ready, width)
        while waiting:
            some = waiting.pop(0)
            try:
                trained = self._train(some, progress, watch, write)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or len(some) == 1:
                    raise
                half = -(-len(some) // 2)
                log.warning("a stack of %d ran out of memory; going on with %d at a time", len(some), half)
                waiting = _cut([each for part in (some, *waiting) for each in part], half)
                continue
            yield trained

    def _train(
        self, some: list[Ready], progress: "pl.Callback | None", watch: "Watch | None", write: "Write | None"
    ) -> Trained:
        from src.runs.signals import Interruptible
        from src.training.engine import Engine
        from src.training.history import History
        from src.training.threads import threads, threads_for

        started = time.perf_counter()
        cfg, jobs, parts = self.cfg, [each.job for each in some], [each.part for each in some]
        seeds, nets = [job.cfg.seed for job in jobs], [each.net for each in some]
        tried, self._tried = self._tried, None
        # Of folds, which start apart, what was tried is what is trained.
        stack = tried[1] if tried and list(map(id, tried[0])) == list(map(id, some)) else self._together(some)
        del tried
        stack.noise.epochs = [int(job.cfg.trainer.max_epochs) for job in jobs]
        monitor, maximize = monitored(cfg)
        stops = stops_of(jobs)
        history = History(
            len(jobs),
            monitor,
            maximize,
            list(stops.values()),
            watch(jobs) if watch else None,
            epochs_of(jobs),
            decoder(parts, nets),
        )
        data = build.datamodule(cfg, parts, seeds, [job.cfg.data.batch_size for job in jobs], False, True)
        rates = [float(job.cfg.optimizer.lr) for job in jobs] if optimization.is_by_hand(cfg) else None
        updates = Optimization(jobs, data, stack, len(set(data.gather.steps)) == 1 and history.max_epochs is None)
        of_each, clip = [each.loss for each in some], optimization.clip(cfg)
        restore = restorer(some, stops)
        module = Engine(stack, of_each, updates.optimizer, updates.scheduler, history, clip, rates, restore)
        ending, checkpoints = Interruptible(history), checkpoints_of(cfg)
        callbacks: list[Any] = [checkpoints, ending, *([progress] if progress else [])]
        with quiet():
            trainer = make_trainer(longest(cfg, jobs), callbacks, [], False, True)
        fit_started = time.perf_counter()
        number = threads_for(stack.matrix.values.numel(), data.batch_size, cfg.trainer.threads)
        trained = Trained(some, module, history, stops, trainer, number, started)
        if write is not None:
            checkpoints.bind(lambda trainer, last: write(trained, last), data.batches)
            data.cut = checkpoints.epochs(data.batches)
        with ending, quiet(), threads(number):
            trainer.fit(module, datamodule=data)
            assert module.epochs is not None
            module.epochs.finish(trainer.global_step, trainer.current_epoch)
        history.flush()
        trained.seconds = elapsed(fit_started)
        return trained


def _cut(ready: Sequence[Ready], width: int) -> list[list[Ready]]:
    return [list(ready[start : start + width]) for start in range(0, len(ready), width)]


def device_of(cfg: Config) -> str:
    """``cuda``, ``cpu`` or another: where Lightning will train."""
    import torch

    accelerator = str(cfg.trainer.accelerator)
    if accelerator in ("auto", "gpu", "cuda"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return accelerator
