"""A loss that is no number from some optimizer step on."""

from torch import Tensor, nn


class Broken(nn.MSELoss):
    """The mean squared error until then.

    Args:
        since: the first optimizer step, counted from 1, whose loss is ``value``.
        value: ``inf`` or ``nan``.
    """

    def __init__(self, since: int, value: str) -> None:
        super().__init__()
        self.since, self.value, self.steps = since, float(value), 0

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss; only what is differentiated counts as a step."""
        self.steps += prediction.requires_grad
        loss = super().forward(prediction, target)
        return loss * self.value if self.steps >= self.since else loss
