"""Numbers in front of a net, each as several: embeddings of numbers (Gorishniy, Rubachev and Babenko, 2022)."""

import math

import torch
from torch import Tensor, nn

_FREQUENCIES, _MAPPED, _DEVIATION = 16, 3, 0.1  # RealMLP's PBLD embedding (Holzmüller et al. 2024)


class PiecewiseLinear(nn.Module):
    """A number by how far it is through each of the bins between its quantiles: 0 before, 1 after, linear within.

    The first bin goes on below the least value, the last above the greatest.

    Args:
        numbers: of a row.
        bins: of each, at least two; of those without width, where many values are equal, nothing is told.

    Shape:
        (…, rows, numbers) to (…, rows, numbers · bins).
    """

    def __init__(self, numbers: int, bins: int) -> None:
        super().__init__()
        # With a dimension for rows, so that they broadcast with and without a member axis before it.
        self.low = nn.Buffer(torch.zeros(1, numbers, bins))
        self.slope = nn.Buffer(torch.zeros(1, numbers, bins))

    def forward(self, numbers: Tensor) -> Tensor:
        """How far each number is through each bin."""
        found = (numbers[..., None] - self.low) * self.slope
        first, last = found[..., :1], found[..., -1:]
        inner = found[..., 1:-1].clamp(0, 1)
        return torch.cat([first.clamp(max=1), inner, last.clamp(min=0)], -1).flatten(-2)

    @torch.no_grad()
    def fit(self, numbers: Tensor) -> None:
        """Puts the bins between the quantiles of training rows (rows, numbers)."""
        bins = self.low.shape[-1]
        # Not torch.quantile, which refuses more than sixteen million values.
        ranks = torch.linspace(0, len(numbers) - 1, bins + 1, dtype=torch.float64, device=numbers.device)
        ordered = numbers.double().sort(dim=0).values
        below, above = ordered[ranks.floor().long()], ordered[ranks.ceil().long()]
        edges = (below + (above - below) * (ranks - ranks.floor())[:, None]).T
        widths = edges.diff(dim=-1)
        self.low.copy_(edges[None, :, :-1])
        self.slope.copy_(torch.where(widths > 0, 1 / widths, 0.0)[None])


class Periodic(nn.Module):
    """A number beside a linear map of its cosines, whose frequencies and phases are learned.

    Args:
        numbers: of a row.
        rate: times the learning rate; all is held divided by it, see ``src.models.realmlp``.

    Shape:
        (…, rows, numbers) to (…, rows, 4 · numbers).
    """

    def __init__(self, numbers: int, rate: float = 1.0) -> None:
        super().__init__()
        self.rate = rate
        self.frequency = nn.Parameter(torch.randn(1, numbers, _FREQUENCIES) * (_DEVIATION / rate))
        self.phase = nn.Parameter((torch.rand(1, numbers, _FREQUENCIES) * 2 - 1) * (math.pi / rate))
        bound = _FREQUENCIES**-0.5 / rate
        self.weight = nn.Parameter((torch.rand(numbers, _FREQUENCIES, _MAPPED) * 2 - 1) * bound)
        self.bias = nn.Parameter((torch.rand(1, numbers, _MAPPED) * 2 - 1) * bound)

    def forward(self, numbers: Tensor) -> Tensor:
        """Each number and what its cosines are mapped to."""
        rate = self.rate
        waves = torch.add(2 * math.pi * rate * numbers[..., None] * self.frequency, self.phase, alpha=rate).cos()
        # One matrix for each number, whatever axes come before.
        mapped = ((waves if rate == 1 else waves * rate).transpose(-2, -3) @ self.weight).transpose(-2, -3)
        mapped = torch.add(mapped, self.bias, alpha=rate)
        return torch.cat([numbers[..., None], mapped], -1).flatten(-2)


class Spread(nn.Module):
    """Embeds the first columns, which are numbers, and hands everything to a net.

    Args:
        layers: the net; takes what the embedding gives, and the other columns after it.
        embedding: of the numbers.
        numbers: how many columns.

    Shape:
        (rows, width) to what the net gives.
    """

    def __init__(self, layers: nn.Module, embedding: nn.Module, numbers: int) -> None:
        super().__init__()
        self.layers, self.embedding, self.numbers = layers, embedding, numbers

    def forward(self, features: Tensor) -> Tensor:
        """Whatever the net gives, for any leading axes."""
        numbers, others = features[..., : self.numbers], features[..., self.numbers :]
        return self.layers(torch.cat([self.embedding(numbers), others], -1))


def spread(layers: nn.Module, kind: str, numbers: int, bins: int, rate: float = 1.0) -> nn.Module:
    """A net behind its numbers ``piecewise_linear`` in so many bins, or ``periodic``; as it is for none.

    ``rate`` is what its cosines learn at, times the learning rate.
    """
    if kind == "none" or not numbers:
        return layers
    embedding = PiecewiseLinear(numbers, bins) if kind == "piecewise_linear" else Periodic(numbers, rate)
    return Spread(layers, embedding, numbers)


def spread_width(width: int, kind: str, numbers: int, bins: int) -> int:
    """What the net within is given of rows of such a width, of which the first are ``numbers``."""
    return width + numbers * {"none": 0, "piecewise_linear": bins - 1, "periodic": _MAPPED}[kind]


def fit_bins(net: nn.Module, features: Tensor) -> None:
    """Puts the bins of a net that has some where its training rows (rows, width) are."""
    for layer in net.modules():
        if isinstance(layer, Spread) and isinstance(layer.embedding, PiecewiseLinear):
            layer.embedding.fit(features[:, : layer.numbers])
