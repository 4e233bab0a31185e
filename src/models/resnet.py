"""A net of residual blocks (Gorishniy, Rubachev, Khrulkov and Babenko, 2021)."""

from torch import Tensor, nn

from src.models.mlp import activation_of


class Block(nn.Module):
    """x + linear(dropout(activation(linear(norm(x))))).

    Normalized row by row, not over the batch as published: a last batch may be of a single row.

    Args:
        width: of rows.
        hidden: between the two layers.
        activation: a name in ``ACTIVATIONS``.
        dropout: probability of a hidden value being zeroed while training.

    Shape:
        (rows, width) to the same.
    """

    def __init__(self, width: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            activation_of(activation),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Rows, and what the layers make of them."""
        return rows + self.layers(rows)


class ResNet(nn.Module):
    """A linear layer, residual blocks, and a normalized linear head.

    Args:
        features: columns of the input.
        width: of the blocks.
        blocks: how many.
        expansion: how many times as wide a block is inside.
        activation: a name in ``ACTIVATIONS``.
        dropout: probability of a hidden value being zeroed while training.
        outputs: columns of the output.

    Shape:
        (rows, features) to (rows, outputs).

    Raises:
        UserError: the activation is unknown.
    """

    def __init__(
        self,
        features: int,
        width: int,
        blocks: int,
        expansion: float,
        activation: str,
        dropout: float,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        hidden = max(1, round(width * expansion))
        self.layers = nn.Sequential(
            nn.Linear(features, width),
            *(Block(width, hidden, activation, dropout) for _ in range(blocks)),
            nn.LayerNorm(width),
            activation_of(activation),
            nn.Linear(width, outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, outputs), in encoded units."""
        return self.layers(features)
