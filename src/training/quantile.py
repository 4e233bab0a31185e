"""Quantile regression: a net with an output for each level, trained by the pinball loss."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.errors import UserError


def in_order(levels: Sequence[float]) -> list[float]:
    """Levels as a net's outputs have them: the one nearest to the median first, for it is the prediction."""
    return sorted(levels, key=lambda level: (abs(level - 0.5), level))


class Quantile(nn.Module):
    """The pinball loss (Koenker and Bassett, 1978), its mean over rows and levels.

    At its least, a share ``level`` of the targets lies below the output of that level.

    Args:
        levels: between 0 and 1, each once.
        reduction: mean, or none for the loss of each row and level.

    Shape:
        prediction (…, rows, levels), in the order of ``in_order``; target (…, rows, 1).

    Raises:
        UserError: a level stands there twice.
    """

    def __init__(self, levels: Sequence[float], reduction: str = "mean") -> None:
        super().__init__()
        if len(set(levels)) < len(levels):
            raise UserError(f"loss.levels must be different ones, found {list(levels)}")
        self.levels, self.reduction = in_order(levels), reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The mean, or (…, rows, levels)."""
        short = target - prediction
        found = short.relu() - short * (1 - short.new_tensor(self.levels))
        return found.mean() if self.reduction == "mean" else found
