"""The plain way: one optimizer step in Lightning's own loop. It takes everything, and the engine is held against it."""

import math
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.data.executions import Execution
from src.data.module import attached
from src.training.epochs import Epochs
from src.training.history import History
from src.training.losses import rows_of, weighed
from src.training.resume import adapt, count_both_ways, keep_patience
from src.training.schedules import Schedule, Scheduler
from src.training.stack import Lone
from src.training.task import Tally


class Plain(pl.LightningModule):
    """Trains a net from (rows, features) to (rows, 1).

    Args:
        member: the net.
        loss: takes (prediction, target), both (rows, 1), and returns a mean.
        optimizer: a constructor that takes the parameters.
        schedule: how the learning rate changes; None keeps it.
        history: where every epoch is noted.
    """

    def __init__(
        self,
        member: Lone,
        loss: nn.Module,
        optimizer: Callable[..., Optimizer],
        schedule: Schedule | None,
        history: History,
    ) -> None:
        super().__init__()
        self.net = member.net
        self.member, self.loss, self.history = member, loss, history
        self.make_optimizer, self.schedule = optimizer, schedule
        self.epochs: Epochs | None = None
        self._by_rows = rows_of(loss)
        self._tally = Tally()
        self._validated: dict[str, Any] = {}

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, 1), in encoded units."""
        return self.net(features)

    def configure_optimizers(self) -> Any:
        """The optimizer and, where there is a schedule, its scheduler, which ``Epochs`` steps both ways."""
        optimizer = self.make_optimizer(self.net.parameters())
        if self.schedule is None:
            return optimizer
        scheduler = self.schedule.build(optimizer)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "epoch", "reduce_on_plateau": False},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the best epoch so far; has what was configured otherwise this time hold from the first step on."""
        self.history.load_best(checkpoint.get("History", {}), self.member.pack)
        count_both_ways(checkpoint)
        keep_patience(checkpoint, self.trainer)
        if checkpoint["optimizer_states"]:  # of a net that brings its own update there are none
            adapt(checkpoint, self.make_optimizer, list(self.net.parameters()), self.schedule)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Nothing: ``Epochs`` steps the scheduler, so that both ways do it at the same points."""

    def on_train_start(self) -> None:
        """Binds what the epochs need, now that device and optimizer stand."""
        trainer = self.trainer
        # With max_steps Lightning takes a resumed training for one within an epoch. Checkpoints lie between two.
        trainer.fit_loop.epoch_loop.restarting = False
        scheduler = None
        if configs := trainer.lr_scheduler_configs:
            assert self.schedule is not None
            scheduler = Scheduler(self.schedule, [(configs[0].scheduler, 0, math.inf)])
        self.epochs = Epochs(self.member, [self.loss], attached(trainer), self.history, self.device, scheduler)
        if trainer.world_size > 1:
            _together(trainer, self.history)

    def training_step(self, execution: Execution, batch_idx: int) -> Any:
        """The loss of one batch; of several processes each sees its share of the rows, and all of them the mean."""
        assert self.epochs is not None
        stretch = execution.stretches[0]
        if stretch.start == 0:
            self.epochs.start(stretch.epoch)
        features, target, share = execution.rows[0]
        if self.trainer.world_size == 1:
            loss = self._loss(self.net(features), target, share)
        else:
            loss = self._of_process(features, target, share, stretch.stop - stretch.start)
        if len(self.epochs.losses) <= batch_idx:  # an optimizer may look at a batch more than once
            self.epochs.losses.append(loss.detach())
        return loss

    def _loss(self, prediction: Tensor, target: Tensor, share: Tensor | None) -> Tensor:
        """The loss of rows, each of which counts its share, (rows, 1); None: all alike."""
        if share is None:
            return self.loss(prediction, target)
        assert self._by_rows is not None
        return weighed(self._by_rows, prediction, target, share)

    def _of_process(self, features: Tensor, target: Tensor, share: Tensor | None, rows: int) -> Tensor:
        """What this process's rows, of so many in the batch, add to the mean over processes."""
        trainer = self.trainer
        self.member.noise.share = (trainer.global_rank, trainer.world_size, rows)
        if len(target):
            # Processes average their gradients, whatever their numbers of rows.
            if share is not None:
                return self._loss(self.net(features), target, share) * trainer.world_size
            return self.loss(self.net(features), target) * (len(target) * trainer.world_size / rows)
        # A last batch may be too small for all; who has no row of it averages a gradient of zeros.
        return self.net(features.new_zeros(1, features.shape[1])).sum() * 0

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Lightning's own step, then a per-step schedule's."""
        super().optimizer_step(*args, **kwargs)
        if self.epochs is not None and self.epochs.scheduler is not None:
            self.epochs.scheduler.stepped()

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor | None], batch_idx: int) -> None:
        """Adds a batch (features, target, weight) to the epoch's errors."""
        assert self.epochs is not None
        features, target, weight = batch
        self.epochs.add(self._tally, self.net(features), target, weight)

    def on_validation_epoch_end(self) -> None:
        """Turns the errors into figures, and shows them to Lightning's callbacks."""
        assert self.epochs is not None
        self._validated, self._tally = self.epochs.figures(self._tally), Tally()
        self.log_dict({n: float(v[0]) for n, v in self._validated.items()}, logger=False, batch_size=1)

    def close(self) -> None:
        """Closes the epoch where that was not done inside an execution; shows its figures to callbacks."""
        trainer, history, epochs = self.trainer, self.history, self.epochs
        assert epochs is not None
        if epochs.losses and not history.over:
            whole = len(epochs.losses) == attached(trainer).batches
            if trainer.world_size > 1:  # what each process saw of the epoch becomes what all of them saw
                epochs.losses[:] = list(trainer.strategy.reduce(torch.stack(epochs.losses), reduce_op="mean"))
            epochs.end(trainer.current_epoch, trainer.global_step, whole, self._validated)
            self._validated = {}
        if history.over:
            trainer.should_stop = True
        if history.members == 1 and history.length:
            last = {name: float(values[-1, 0]) for name, values in history.columns(history.length - 1).items()}
            shown = {name: value for name, value in last.items() if name != "step" and value == value}
            self.log_dict(shown, logger=False, batch_size=1)


class Closing(pl.Callback):
    """Closes the epoch before other callbacks hear of its end; it has to be the first of them.

    Lightning tells most callbacks before the module, and they would see the figures of the epoch before.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Closes it."""
        assert isinstance(pl_module, Plain)
        pl_module.close()


def count(trainer: pl.Trainer, steps: int, epochs: int) -> None:
    """Tells Lightning's loops of optimizer steps and whole epochs that it did not do itself."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for tracker in (progress.total, progress.current):
        tracker.ready += steps
        tracker.completed += steps
    whole: Any = trainer.fit_loop.epoch_progress  # its trackers are declared narrower than they are
    for tracker in (whole.total, whole.current):
        tracker.ready += epochs
        tracker.started += epochs
        tracker.processed += epochs
        tracker.completed += epochs


def whole_epochs(trainer: pl.Trainer) -> int:
    """Epochs that were trained so far; where callbacks hear of an epoch's end, ``current_epoch`` lacks that one."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return int(progress.processed)


def _together(trainer: pl.Trainer, history: History) -> None:
    """Of several processes: whatever could end one of them ends all, so that none waits for another for ever."""
    told, strategy = history.pruner, trainer.strategy

    def pruner(*arguments: Any) -> Any:
        return strategy.broadcast(told(*arguments) if told is not None and trainer.is_global_zero else None)

    def agreed(asked: str | None) -> str | None:
        answer = strategy.reduce(torch.tensor(float(asked is not None), device=strategy.root_device), reduce_op="max")
        return "interrupted" if float(answer) else None

    history.pruner, history.agreed = pruner, agreed
