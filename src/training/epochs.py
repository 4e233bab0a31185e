"""Opening and closing epochs: noise, losses, validation, schedule and the record.

Both training paths call it, so an epoch means the same in each.
"""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from src.data.encoder import Encoder
from src.data.module import DataModule
from src.data.order import noise_seed
from src.training.record import Errors, Record

Line = Callable[[], tuple[float, float]]


class Epochs:
    """The epochs of one training.

    Args:
        net: what is trained.
        record: where rows go.
        datamodule: validation rows, encoder and batch size.
        seed: decides the dropout masks of each epoch.
        device: where the validation rows are needed.
        optimizer: whose learning rate is recorded when a scheduler changes it; None where there is none.
        scheduler: stepped as ``interval`` says; a plateau one with ``monitor``.
        line: reads weight and bias of a straight line of one feature; None for other models.
    """

    def __init__(
        self,
        net: nn.Module,
        record: Record,
        datamodule: DataModule,
        seed: int,
        device: torch.device,
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        interval: str = "epoch",
        monitor: str = "train/loss",
        line: Line | None = None,
    ) -> None:
        self.net = net
        self.record = record
        self.seed = seed
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.interval = interval
        self.monitor = monitor
        self.rows = len(datamodule.rows["train"])
        self.batch_size = datamodule.batch_size
        self.noisy = any(isinstance(module, nn.Dropout) and module.p > 0 for module in net.modules())
        self.losses: list[Tensor | float] = []
        self.lr = 0.0
        self._line = _decoded(line, datamodule.encoder) if line else None
        self._validation = [
            (features.to(device), target.to(device)) for features, target in datamodule.val_dataloader()
        ]
        variance = float(datamodule.raw("val")[1].astype("float64").var()) if self._validation else 0.0
        self.errors = Errors(datamodule.encoder.target_scale, variance)
        self._validated: dict[str, float] = {}

    def start(self, epoch: int) -> None:
        """Opens an epoch: its dropout masks follow from (seed, epoch) alone."""
        if self.noisy:
            torch.manual_seed(noise_seed(self.seed, epoch))

    def stepped(self) -> None:
        """Notes an optimizer step: remembers its learning rate and advances a per-step schedule."""
        if self.scheduler is not None and self.optimizer is not None:
            self.lr = float(self.optimizer.param_groups[0]["lr"])
            if self.interval == "step":
                self.scheduler.step()

    def validate(self) -> dict[str, float]:
        """The validation figures of the weights as they are, in the target's unit; {} without such rows."""
        if not self._validation:
            return {}
        self.net.eval()
        with torch.no_grad():
            for features, target in self._validation:
                self.errors.add(self.net(features), target)
        self.net.train()
        return self.errors.take("val")

    def end(self, epoch: int, step: int, whole: bool = True, validation: dict[str, float] | None = None) -> None:
        """Closes an epoch.

        Args:
            epoch: counted from 0.
            step: optimizer steps done so far.
            whole: False where ``max_steps`` cut the epoch short; then nothing is scheduled.
            validation: its figures where validation was due.
        """
        row: dict[str, float] = {"epoch": epoch + 1, "step": step, "train/loss": self._loss()}
        if self.scheduler is not None:
            row["lr"] = self.lr
        if self._line is not None:
            row["slope"], row["intercept"] = self._line()
        row.update(validation or {})
        if whole and self.scheduler is not None and self.interval == "epoch":
            if not isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step()
            elif self.monitor in row:
                self.scheduler.step(row[self.monitor])
        self.record.close_epoch(row, self.net)

    def lightning_validated(self, module: pl.LightningModule) -> None:
        """Takes the figures of Lightning's validation loop, and shows them to its callbacks."""
        self._validated = self.errors.take("val")
        module.log_dict(self._validated, logger=False, batch_size=1)

    def lightning_ended(self, module: pl.LightningModule) -> None:
        """At the end of one of Lightning's epochs: closes what is open, shows the figures to callbacks."""
        trainer, record = module.trainer, self.record
        if self.losses and record.stopped != "diverged":
            whole = len(self.losses) == -(-self.rows // self.batch_size)
            self.end(trainer.current_epoch, trainer.global_step, whole, self._validated)
            self._validated = {}
        if record.stopped:
            trainer.should_stop = True
        if record.rows:
            row = record.rows[-1]
            module.log_dict({n: row[n] for n in row if n not in ("epoch", "step")}, logger=False, batch_size=1)

    def _loss(self) -> float:
        """The mean of the epoch's batch losses, weighted by rows."""
        held, self.losses = self.losses, []
        losses = [loss for loss in held if isinstance(loss, float)]
        if not losses:
            losses = torch.stack([loss for loss in held if isinstance(loss, Tensor)]).tolist()  # one wait for a GPU
        last = self.rows - (len(losses) - 1) * self.batch_size
        if len(losses) == 1 or not 0 < last < self.batch_size:
            return sum(losses) / len(losses)
        return (sum(losses[:-1]) * self.batch_size + losses[-1] * last) / self.rows


def _decoded(line: Line, encoder: Encoder) -> Line:
    """The same line in raw units."""
    if encoder.is_identity:
        return line
    slope_scale = encoder.target_scale / float(encoder.feature_scale[0])
    x0, y0, scale = float(encoder.feature_shift[0]), encoder.target_shift, encoder.target_scale

    def decoded() -> tuple[float, float]:
        weight, bias = line()
        slope = weight * slope_scale
        return slope, bias * scale + y0 - slope * x0

    return decoded


def count(trainer: pl.Trainer, steps: int, epochs: int) -> None:
    """Tells Lightning's loops of optimizer steps and whole epochs that were done inside one training step."""
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
