"""The baseline: a straight line of two tensors and an update written by hand.

The second LightningModule, because writing the update out is its whole point: no nn.Linear, no
torch.optim, and with ``gradient='analytic'`` no autograd either.
"""

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from src.data.executions import Execution
from src.data.module import attached
from src.errors import UserError
from src.training.epochs import Epochs
from src.training.execute import execute
from src.training.record import Record


class Scratch(pl.LightningModule):
    """y = x w + b, trained by w ← w - lr · ∂loss/∂w and b ← b - lr · ∂loss/∂b.

    Args:
        features: columns of the input.
        init: ``weight`` and ``bias``; None draws uniformly from [0, 1).
        gradient: ``autograd``, or ``analytic`` for the formula.
        loss: mean squared, mean absolute or Huber error.
        lr: the learning rate.
        seed: kept for the epochs' sake; nothing here is random after the start.
        record: where every epoch is noted.

    Raises:
        UserError: ``gradient`` is neither.
    """

    def __init__(
        self,
        features: int,
        init: dict[str, float | None],
        gradient: str,
        loss: nn.MSELoss | nn.L1Loss | nn.HuberLoss,
        lr: float,
        seed: int,
        record: Record,
    ) -> None:
        super().__init__()
        if gradient not in ("autograd", "analytic"):
            raise UserError(f"model.gradient must be one of autograd, analytic, found {gradient!r}")
        weight, bias = init["weight"], init["bias"]
        self.weight = nn.Parameter(torch.rand(features, 1) if weight is None else torch.full((features, 1), weight))
        self.bias = nn.Parameter(torch.rand(1) if bias is None else torch.full((1,), bias))
        self.loss = loss
        self.lr = lr
        self.record = record
        self.automatic_optimization = False
        self._seed = seed
        self._step = self._analytic_step if gradient == "analytic" else self._autograd_step
        self._epochs: Epochs | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, 1) for (rows, features)."""
        return features @ self.weight + self.bias

    def _autograd_step(self, features: Tensor, target: Tensor) -> float:
        loss = self.loss(self(features), target)
        loss.backward()
        with torch.no_grad():
            for parameter in (self.weight, self.bias):
                assert parameter.grad is not None
                parameter.sub_(self.lr * parameter.grad)
                # Autograd adds to what is there, so each step has to start from zero.
                parameter.grad.zero_()
        return loss.item()

    @torch.no_grad()
    def _analytic_step(self, features: Tensor, target: Tensor) -> float:
        error = self(features) - target  # (rows, 1)
        if isinstance(self.loss, nn.MSELoss):
            slope = 2 * error  # of each row's loss, by its prediction
        elif isinstance(self.loss, nn.L1Loss):
            slope = error.sign()
        else:
            slope = error.clamp(-self.loss.delta, self.loss.delta)
        loss = self.loss(error, torch.zeros_like(error))
        self.weight.sub_(self.lr * (features.T @ slope) / len(target))
        self.bias.sub_(self.lr * slope.mean())
        return loss.item()

    def configure_optimizers(self) -> None:
        """None: the update is written by hand."""

    def on_train_start(self) -> None:
        """Binds what the epochs need."""
        datamodule = attached(self.trainer)
        line = (lambda: (self.weight.item(), self.bias.item())) if self.weight.numel() == 1 else None
        self._epochs = Epochs(self, self.record, datamodule, self._seed, self.device, line=line)

    def training_step(self, execution: Execution, batch_idx: int) -> None:
        """A whole execution of hand-written steps."""
        assert self._epochs is not None
        execute(self._step, self._epochs, execution, self.trainer, attached(self.trainer).span)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Adds a batch (features, target) to the epoch's errors."""
        assert self._epochs is not None
        features, target = batch
        self._epochs.errors.add(self(features), target)

    def on_validation_epoch_end(self) -> None:
        """Turns the errors into figures."""
        assert self._epochs is not None
        self._epochs.lightning_validated(self)

    def on_train_epoch_end(self) -> None:
        """Closes the epoch where that was not done inside an execution."""
        assert self._epochs is not None
        self._epochs.lightning_ended(self)
