"""The engine: many optimizer steps inside one of Lightning's training steps, of one member or of thousands.

Lightning spends about a millisecond around each training step, many times what a small model needs. Keras calls the
remedy ``steps_per_execution``. Here an execution may also span epochs, so every epoch is closed inside, and
Lightning's own counters are advanced by the steps and epochs that were done. A lone run is a stack of one: see
``LoneEngine``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from src.data.executions import Execution
from src.data.module import attached
from src.training.epochs import Epochs
from src.training.history import History
from src.training.losses import Losses
from src.training.optimizers import StackedOptimizer
from src.training.plain import count
from src.training.schedules import Scheduler
from src.training.stack import Stack

Step = Callable[[Tensor, Tensor, Tensor | None], None]
Clip = tuple[float, str]  # a bound on the gradient and what it bounds: ``norm`` or ``value``

_LEAVE = 4  # who stopped leaves at once where that is more than one in so many


class Engine(pl.LightningModule):
    """The engine of many members.

    Args:
        stack: the members.
        losses: per member its loss; equal ones are one object.
        optimizer: of all members, once the matrix is on the training's device.
        scheduler: likewise, from that optimizer; None keeps learning rates.
        history: where every epoch is noted.
        clip: a bound on each member's gradient.
        by_hand: per member the learning rate of nets that bring their own update.
        restore: brings members to where an earlier training left them, once everything is on the training's device.
    """

    def __init__(
        self,
        stack: Stack,
        losses: Sequence[nn.Module],
        optimizer: Callable[[], StackedOptimizer],
        scheduler: Callable[[StackedOptimizer], Scheduler | None],
        history: History,
        clip: Clip | None,
        by_hand: Sequence[float] | None = None,
        restore: "Callable[[Engine], None] | None" = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack, self.history = stack, history
        self._modules_of_losses, self._losses = list(losses), Losses(losses)
        self._make, self._make_scheduler = optimizer, scheduler
        self._clip, self._restore = clip, restore
        self.by_hand = by_hand is not None
        self._rates = None if by_hand is None else torch.tensor(by_hand, dtype=torch.float64)
        self.epochs: Epochs | None = None

    def configure_optimizers(self) -> None:
        """None: to Lightning, members have no optimizer that it could step."""

    def on_train_start(self) -> None:
        """Moves everything to the training's device."""
        stack = self.stack
        stack.to(self.device)
        stack.net.train()
        self.optimizer = self._make()
        scheduler = self._make_scheduler(self.optimizer)
        data = attached(self.trainer)
        self.epochs = Epochs(stack, self._modules_of_losses, data, self.history, self.device, scheduler, self.optimizer)
        if self._restore is not None:
            self._restore(self)
        self._ready()

    def training_step(self, execution: Execution, batch_idx: int) -> None:
        """A whole execution; then who has stopped leaves."""
        assert self.epochs is not None
        self._at = self.trainer.global_step
        execute(self._step, self.epochs, execution, self.trainer, attached(self.trainer).span)
        alive = self.history.alive
        if not alive.all() and alive.any() and execution.stretches[-1].ends_epoch:
            positions = np.flatnonzero(alive)
            self.epochs.keep(positions)
            self._losses.keep(positions.tolist())
            if self._rates is not None:
                self._rates = self._rates[torch.from_numpy(positions)]
            self._ready()
        self.history.flush()

    def on_train_epoch_end(self) -> None:
        """Closes an epoch that ``max_steps`` cut short."""
        trainer, epochs = self.trainer, self.epochs
        assert epochs is not None
        if epochs.losses and not self.history.over:
            epochs.end(trainer.current_epoch, trainer.global_step, whole=False)

    def on_train_end(self) -> None:
        """Whoever is left went through to the end."""
        assert self.epochs is not None
        self.epochs.finish(self.trainer.global_step, self.trainer.current_epoch)

    def _ready(self) -> None:
        """Works out what depends on who is present."""
        assert self.epochs is not None
        self._batches = self.epochs.data.batches
        steps = torch.tensor(self.epochs.data.gather.steps, device=self.device)
        active = torch.arange(self._batches, device=self.device)[:, None] < steps  # (steps, members)
        self._active = None if bool(active.all()) else active
        gather = self.epochs.data.gather
        self._rows = gather.counts().int().tolist() if gather.ragged else None  # of each step, by member

    def _step(self, features: Tensor, target: Tensor, share: Tensor | None) -> None:
        """One optimizer step of every member."""
        epochs, stack = self.epochs, self.stack
        assert epochs is not None
        if self._rows is not None:
            stack.noise.rows = self._rows[self._at % self._batches]
        if self._rates is not None:
            rows = features if features.dim() == 3 else features.expand(stack.size, *features.shape)
            update: Any = stack.net.step_by_hand
            epochs.losses.append(update(rows, target, self._losses, self._rates.to(rows)))
            self._at += 1
            return
        gradient = stack.matrix.gradient.zero_()
        losses = self._losses(stack.forward(features), target, share)
        losses.sum().backward()  # with a gradient for each, torch would import SymPy
        stack.mend()
        if self._clip is not None:
            _bound_rows(gradient, *self._clip)
        self.optimizer.step(None if self._active is None else self._active[self._at % self._batches])
        if epochs.scheduler is not None:
            epochs.scheduler.stepped()
        epochs.losses.append(losses.detach())
        self._at += 1


def execute(step: Step, epochs: Epochs, execution: Execution, trainer: pl.Trainer, inside: bool) -> None:
    """Trains through an execution.

    Whether a loss is a number is looked at once an epoch, so that no step waits for the device. A stop takes effect
    at the end of an epoch.

    Args:
        step: does one optimizer step on a batch and notes the loss before it.
        inside: whether epochs are validated and closed in here; else Lightning's hooks do it, so that its callbacks
            see each epoch.
    """
    before = trainer.global_step
    cadence = trainer.check_val_every_n_epoch or 1
    done, index, history = 0, 0, epochs.history
    for index, stretch in enumerate(execution.stretches):
        if stretch.start == 0:
            epochs.start(stretch.epoch)
        for features, target, share in execution.batches(index):
            step(features, target, share)
            done += 1
        if stretch.ends_epoch and inside:
            due = (stretch.epoch + 1) % cadence == 0
            epochs.end(stretch.epoch, before + done, figures=epochs.validate() if due else None)
            # Rows that were gathered for a larger stack fit no smaller one; Lightning fetches the rest again.
            if history.over or (len(history.present) - history.learning) * _LEAVE > len(history.present):
                break
    # Lightning itself counts the epoch in which this training step lies, whole or not.
    count(trainer, done, index)
    if history.over:
        trainer.should_stop = True


def bound(parameters: list[nn.Parameter], bound: float, what: str) -> None:
    """Bounds the gradients' norm over all parameters, or each value."""
    if what == "norm":
        torch.nn.utils.clip_grad_norm_(parameters, bound)
    else:
        torch.nn.utils.clip_grad_value_(parameters, bound)


def _bound_rows(gradient: Tensor, bound: float, what: str) -> None:
    """The same, member by member."""
    if what == "norm":
        factor = bound / (gradient.norm(dim=1, keepdim=True) + 1e-6)
        gradient.mul_(factor.clamp(max=1.0))
    else:
        gradient.clamp_(-bound, bound)
