"""A net that nobody here has seen: attention over the columns of a row."""

import torch
from torch import Tensor, nn


class Attentive(nn.Module):
    """Each column a token; (rows, features) to (rows, 1)."""

    def __init__(self, features: int, width: int = 8) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(features, width))
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, 1)

    def forward(self, values: Tensor) -> Tensor:
        tokens = values[..., None] * self.token
        query, key, value = self.mix(self.norm(tokens)).chunk(3, -1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.out(nn.functional.gelu(tokens + mixed).mean(-2))


class Counting(Attentive):
    """What it does is decided by the number of rows: nobody who traces can follow."""

    def forward(self, values: Tensor) -> Tensor:
        found = super().forward(values)
        return found if len(values) < 10 else found + 1
