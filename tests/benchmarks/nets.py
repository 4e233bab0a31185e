"""A net that the project does not know, to be stacked."""

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A residual block with LayerNorm between two linear layers: (rows, features) to (rows, 1)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.last = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, 1)."""
        values = self.first(features)
        return self.last(values + torch.relu(self.inner(self.norm(values))))
