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
        self.hide: nn.Module = Hide(entries, _DROPPED)

    def forward(self, features: Tensor) -> Tensor:
        """Whatever the net gives, for any leading axes."""
        numbers, codes = features[..., : -self.codes], features[..., -self.codes :]
        found = self.table(self.hide(codes).long())
        return self.layers(torch.cat([numbers, found.flatten(-2)], -1))


def embedded_width(width: int, codes: int) -> int:
    """What the net within is given of rows of such a width, codes included."""
    return width + (WIDTH - 1) * codes


class Hide(nn.Module):
    """Turns codes into 0, that of an unknown value, while training: rare ones most often, so that they are not trusted.

    Args:
        entries: different codes.
        chance: with which each is hidden, until it is known how often it occurs.

    Shape:
        (…, codes) to the same.
    """

    _BITS = 10  # of a uniform random number

    def __init__(self, entries: int, chance: float = 0.02) -> None:
        super().__init__()
        self.chance = nn.Embedding(entries, 1)
        self.chance.weight.requires_grad_(False).fill_(chance)
        # A fair coin of torch's own dropout: its masks are drawn alike alone and in a stack.
        self.coin = nn.Dropout(0.5)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes, some of them hidden while training."""
        if not self.training:
            return codes
        thrown = self.coin(torch.ones(*codes.shape, self._BITS, device=codes.device)) > 0
        worth = 0.5 ** torch.arange(1, self._BITS + 1, device=codes.device)
        return codes * ((thrown * worth).sum(-1) >= self.chance(codes.long())[..., 0])
