"""Categories of many values in front of a net that takes numbers."""

import torch
from torch import Tensor, nn

WIDTH = 8  # numbers a value becomes, as RealMLP has it (Holzmüller et al. 2024)
_DROPPED = 0.02  # of the values are hidden while training, so that an unknown one has been met


class Embedded(nn.Module):
    """Looks up the last columns, which are codes, and hands everything to a net.

    All columns share one ``nn.Embedding``; code 0 is an unknown value of any of them.

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
        self.table = nn.Embedding(entries, WIDTH)
        nn.init.normal_(self.table.weight, std=WIDTH**-0.5)
        # torch's own dropout says which values: it is drawn alike alone and in a stack.
        self.hide = nn.Dropout(_DROPPED)

    def forward(self, features: Tensor) -> Tensor:
        """Whatever the net gives, for any leading axes."""
        numbers, codes = features[..., : -self.codes], features[..., -self.codes :]
        shown = self.hide(torch.ones_like(codes)) > 0
        found = self.table((codes * shown).long())
        return self.layers(torch.cat([numbers, found.flatten(-2)], -1))


def embedded_width(width: int, codes: int) -> int:
    """What the net within is given of rows of such a width, codes included."""
    return width + (WIDTH - 1) * codes
