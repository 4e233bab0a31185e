"""Categories of many values in front of a net that takes numbers."""

import torch
from torch import Tensor, nn

WIDTH = 8  # numbers a value becomes, as RealMLP has it (Holzmüller et al. 2024)
_DROPPED = 0.02  # of the values are hidden while training, so that an unknown one has been met


class Embedded(nn.Module):
    """Looks up the last columns, which are codes, and hands everything to a net.

    All columns share one table; code 0 is an unknown value of any of them.

    Args:
        layers: the net; takes (rows, numbers + 8 · codes).
        codes: how many columns.
        entries: different codes of all columns together.

    Shape:
        (rows, numbers + codes) to what the net gives.
    """

    def __init__(self, layers: nn.Module, codes: int, entries: int) -> None:
        super().__init__()
        self.layers, self.codes = layers, codes
        self.table = Lookup(entries, WIDTH)
        nn.init.normal_(self.table.weight, std=WIDTH**-0.5)
        self.hide: nn.Module = Hide(entries, _DROPPED)

    def forward(self, features: Tensor) -> Tensor:
        """Whatever the net gives, for any leading axes."""
        numbers, codes = features[..., : -self.codes], features[..., -self.codes :]
        found = self.table(self.hide(codes).long())
        return self.layers(torch.cat([numbers, found.flatten(-2)], -1))


def embedded_width(width: int, codes: int) -> int:
    """What the net within is given of rows of such a width, codes included."""
    return width + (WIDTH - 1) * codes


class Lookup(nn.Embedding):
    """``nn.Embedding`` that trains by ``index_select``, whose backward takes less than half as long on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Whole numbers of any shape to (…, width)."""
        if not self.training:
            return super().forward(input)
        return self.weight.index_select(0, input.flatten()).view(*input.shape, self.embedding_dim)


class Hide(nn.Module):
    """Turns codes into 0, that of an unknown value, while training: rare ones most often, so that they are not trusted.

    Args:
        entries: different codes.
        chance: with which each is hidden, until it is known how often it occurs.

    Shape:
        (…, codes) to the same.
    """

    def __init__(self, entries: int, chance: float = 0.02) -> None:
        super().__init__()
        self.chance = nn.Embedding(entries, 1)
        self.chance.weight.requires_grad_(False).fill_(chance)
        self.drawn = Uniform()

    def forward(self, codes: Tensor) -> Tensor:
        """Codes, some of them hidden while training."""
        if not self.training:
            return codes
        return codes * (self.drawn(codes) >= self.chance(codes.long())[..., 0])


class Uniform(nn.Dropout):
    """Random numbers from 0 to below 1, of the shape of what is given; ones where dropout is switched off.

    A training draws them as it draws the masks of dropout, alike alone and in a stack.
    """

    def forward(self, values: Tensor) -> Tensor:
        """One for each value."""
        return torch.rand_like(values) if self.p else torch.ones_like(values)
