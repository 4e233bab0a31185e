"""The engine of one member: its net is used as it is, and torch's optimizer updates it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from src.data.executions import Execution
from src.data.module import attached
from src.training.engine import Clip, Step, bound, execute
from src.training.epochs import Epochs
from src.training.optimizers import bare_step
from src.training.plain import Plain


class LoneEngine(Plain):
    """The engine of one member: ``Plain`` with many steps a training step.

    Args:
        clip: a bound on the gradient; None leaves it.
        by_hand: the learning rate of a net that brings its own update, as ``step_by_hand``; None for all others.
        arguments: see ``Plain``.
    """

    def __init__(self, *arguments: Any, clip: Clip | None = None, by_hand: float | None = None) -> None:
        super().__init__(*arguments)
        self.automatic_optimization = False
        self._clip, self._by_hand = clip, by_hand

    def configure_optimizers(self) -> Any:
        """See ``Plain``."""
        return super().configure_optimizers() if self._by_hand is None else None

    def on_train_start(self) -> None:
        """Binds what a step needs."""
        super().on_train_start()
        assert self.epochs is not None
        self._step = self._fast_step(self.epochs) if self._by_hand is None else self._step_by_hand(self.epochs)

    def training_step(self, execution: Execution, batch_idx: int) -> None:
        """A whole execution."""
        assert self.epochs is not None
        execute(self._step, self.epochs, execution, self.trainer, attached(self.trainer).span)

    def _step_by_hand(self, epochs: Epochs) -> Step:
        update: Any = self.net.step_by_hand

        def step(features: Tensor, target: Tensor, share: Tensor | None) -> None:
            epochs.losses.append(update(features, target, self.loss, self._by_hand))

        return step

    def _fast_step(self, epochs: Epochs) -> Step:
        """One optimizer step with as little around it as the mathematics allows."""
        optimizer: Any = self.trainer.optimizers[0]
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        weighed_loss = self._loss
        forward, loss_of, bare = self.net, self.loss.forward, bare_step(optimizer)
        scheduler, clip, losses = epochs.scheduler, self._clip, epochs.losses
        # A small tensor kept between large ones that are freed keeps their memory from the next step.
        read: Callable[[Tensor], Tensor | float] = Tensor.item if self.device.type == "cpu" else Tensor.detach

        def step(features: Tensor, target: Tensor, share: Tensor | None) -> None:
            found = forward(features)
            loss = loss_of(found, target) if share is None else weighed_loss(found, target, share)
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            if clip is not None:
                bound(parameters, *clip)
            with torch.no_grad():
                bare(optimizer)
            if scheduler is not None:
                scheduler.stepped()
            losses.append(read(loss))

        return step
