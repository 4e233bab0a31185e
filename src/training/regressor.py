"""The LightningModule of every net: net, loss, optimizer and schedule."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.data.executions import Execution
from src.data.module import attached
from src.training.epochs import Epochs
from src.training.execute import Step, execute
from src.training.record import Record
from src.training.schedule import Schedule


class Regressor(pl.LightningModule):
    """Trains a net from (rows, features) to (rows, 1).

    Args:
        net: any module of that shape.
        loss: takes (prediction, target), both (rows, 1), and returns a mean.
        optimizer: a constructor that takes the parameters.
        schedule: how the learning rate changes; None keeps it.
        seed: decides the dropout masks.
        clip: a bound on the gradient and what it bounds, ``norm`` or ``value``; None leaves gradients.
        fast: many optimizer steps in a training step; False is Lightning's own loop, which the fast
            path equals bit for bit.
        record: where every epoch is noted.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Schedule | None,
        seed: int,
        clip: tuple[float, str] | None,
        fast: bool,
        record: Record,
    ) -> None:
        super().__init__()
        self.net = net
        self.loss = loss
        self.record = record
        self.automatic_optimization = not fast
        self._make_optimizer = optimizer
        self._schedule = schedule
        self._seed = seed
        self._clip = clip
        self._step: Step | None = None
        self._epochs: Epochs | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, 1), in encoded units."""
        return self.net(features)

    def configure_optimizers(self) -> Any:
        """The optimizer and, where there is a schedule, its scheduler, which ``Epochs`` steps in both paths."""
        optimizer = self._make_optimizer(self.net.parameters())
        if self._schedule is None:
            return optimizer
        trainer = self.trainer
        batches = -(-attached(trainer).batches // trainer.accumulate_grad_batches)
        epochs = trainer.max_epochs if trainer.max_epochs not in (None, -1) else None
        steps = min((n for n in (epochs and epochs * batches, trainer.max_steps) if n not in (None, -1)), default=1)
        scheduler = self._schedule.build(optimizer, -(-steps // batches), steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "reduce_on_plateau": False},
        }

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Nothing: ``Epochs`` steps the scheduler, so that both paths do it at the same points."""

    def on_train_start(self) -> None:
        """Binds what the epochs need, now that device and optimizer stand."""
        trainer = self.trainer
        datamodule = attached(trainer)
        optimizer = trainer.optimizers[0]
        configs = trainer.lr_scheduler_configs
        scheduler: Any = configs[0].scheduler if configs else None
        self._epochs = Epochs(
            self.net,
            self.record,
            datamodule,
            self._seed,
            self.device,
            optimizer,
            scheduler,
            self._schedule.interval if self._schedule else "epoch",
            self._schedule.monitor if self._schedule else "train/loss",
            self._line if _is_line(self.net) else None,
        )
        if not self.automatic_optimization:
            self._step = self._fast_step(optimizer, self._epochs)

    def training_step(self, execution: Execution, batch_idx: int) -> Tensor | None:
        """One optimizer step of Lightning's own loop, or a whole execution."""
        epochs = self._epochs
        assert epochs is not None
        if self._step is not None:
            execute(self._step, epochs, execution, self.trainer, attached(self.trainer).span)
            return None
        if execution.stretches[0].start == 0:
            epochs.start(execution.stretches[0].epoch)
        features, target = execution.rows[0]
        loss = self.loss(self.net(features), target)
        epochs.losses.append(loss.detach())
        if not torch.isfinite(loss):
            self.record.diverge(self.trainer.global_step + 1)
            self.trainer.should_stop = True
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's own step, then a per-step schedule's."""
        super().optimizer_step(*args, **kwargs)
        assert self._epochs is not None
        self._epochs.stepped()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Adds a batch (features, target) to the epoch's errors."""
        assert self._epochs is not None
        features, target = batch
        self._epochs.errors.add(self.net(features), target)

    def on_validation_epoch_end(self) -> None:
        """Turns the errors into figures."""
        assert self._epochs is not None
        self._epochs.lightning_validated(self)

    def on_train_epoch_end(self) -> None:
        """Closes the epoch where that was not done inside an execution."""
        assert self._epochs is not None
        self._epochs.lightning_ended(self)

    def _line(self) -> tuple[float, float]:
        assert isinstance(self.net, nn.Linear)
        return self.net.weight.item(), self.net.bias.item()

    def _fast_step(self, optimizer: Optimizer, epochs: Epochs) -> Step:
        """One optimizer step with as little around it as the mathematics allows."""
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        forward, loss_of = self.net, self.loss.forward
        # Without the profiler's wrapper, which costs as much as a small model's update.
        bare = getattr(type(optimizer).step, "__wrapped__", type(optimizer).step)
        optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler's wrapper would note
        scheduled = epochs.scheduler is not None
        clip = self._clip
        on_cpu = self.device.type == "cpu"

        def step(features: Tensor, target: Tensor) -> float | Tensor:
            loss = loss_of(forward(features), target)
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            if clip is not None:
                clip_gradients(parameters, *clip)
            bare(optimizer)
            if scheduled:
                epochs.stepped()
            return loss.item() if on_cpu else loss.detach()

        return step


def clip_gradients(parameters: list[nn.Parameter], bound: float, what: str) -> None:
    """Bounds the gradients' norm over all parameters, or each value."""
    if what == "norm":
        torch.nn.utils.clip_grad_norm_(parameters, bound)
    else:
        torch.nn.utils.clip_grad_value_(parameters, bound)


def _is_line(net: nn.Module) -> bool:
    return isinstance(net, nn.Linear) and net.in_features == 1
