"""Dropout whose masks follow from (seed, epoch), alone and in a stack, on every device."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.data.order import noise_seed
from src.models.embedding import Uniform
from src.training.coslog4 import flat_cos

_LEVELS = 1 << 16  # of a random number of 16 bits


class SeededDropout(nn.Module):
    """``nn.Dropout`` for one net or for many, each with a probability and a stream of random numbers of its own.

    A mask takes 16 random bits a value, a quarter of the time that ``nn.Dropout`` takes for its own on a CPU;
    probabilities are multiples of 2⁻¹⁶. Of several processes that share a batch each draws the mask of the whole and
    takes that of its own rows, so that all of them do what one does.

    Args:
        rates: per member the probability of a value being zeroed while training.
        noise: whose streams to draw from.
        stacked: whether inputs are (members, …), of the first members at least; else there is one member, and they are
            as its net has them.
        widths: per member the width of its own values, where they are filled up to one of all.
        fades: whether probabilities fall to 0 in the second half of the epochs.
    """

    def __init__(
        self, rates: Sequence[float], noise: "Noise", stacked: bool, widths: Sequence[int] | None, fades: bool = False
    ) -> None:
        super().__init__()
        self.rates, self.noise, self.stacked, self.fades = list(rates), noise, stacked, fades
        self.widths = list(widths) if widths is not None else None

    def forward(self, values: Tensor) -> Tensor:
        """Values with some of them zeroed and the others scaled up; the same shape."""
        if not self.training or not any(self.rates):
            return values
        rank, processes, rows = self.noise.share or (0, 1, len(values))
        # Whole numbers are compared as floats, which is faster; those of 16 bits would be rounded.
        mask = torch.empty(
            (rows, *values.shape[1:]), dtype=torch.promote_types(values.dtype, torch.float32), device=values.device
        )
        parts = [self._own(member, part) for member, part in enumerate(mask if self.stacked else [mask])]
        rates = [rate * self.noise.left(m) if self.fades else rate for m, rate in enumerate(self.rates[: len(parts)])]
        bits = torch.empty(len(parts), -(-max(map(Tensor.numel, parts)) // 4), dtype=torch.int64, device=values.device)
        for part, rate, own, generator in zip(parts, rates, bits, self.noise.generators(values.device), strict=False):
            if rate:
                own[: -(-part.numel() // 4)].random_(-(2**63), None, generator=generator)
        drawn = bits.view(torch.int16)
        if all(part.numel() * len(parts) == mask.numel() for part in parts):
            mask.copy_(drawn[:, : parts[0].numel()].view(mask.shape))
        else:
            mask.zero_()
            for part, own in zip(parts, drawn, strict=True):
                part.copy_(own[: part.numel()].view(part.shape))  # drawn apart and contiguous, as alone
        dropped = [round(rate * _LEVELS) for rate in rates]
        least = [number - _LEVELS // 2 if number else -torch.inf for number in dropped]
        scale = [_LEVELS / max(_LEVELS - number, 1) for number in dropped]
        mask.ge_(_each(least, mask)).mul_(_each(scale, mask))
        return values * (mask[rank::processes] if rank < rows else mask[:1]).to(values.dtype)

    def _own(self, member: int, part: Tensor) -> Tensor:
        """What of a member's values is not there to fill up."""
        part = part if self.noise.rows is None else part[: self.noise.rows[member]]
        return part if self.widths is None else part[:, : self.widths[member]]


def _each(numbers: list[float], mask: Tensor) -> float | Tensor:
    """A number for each member, (members, 1, …)."""
    if len(numbers) == 1:
        return numbers[0]
    return torch.tensor(numbers, dtype=mask.dtype, device=mask.device).view(-1, *[1] * (mask.dim() - 1))


class SeededUniform(nn.Module):
    """``Uniform`` for one net or for many; shapes, streams and several processes as of ``SeededDropout``.

    Args:
        noise, stacked: see there.
    """

    def __init__(self, noise: "Noise", stacked: bool) -> None:
        super().__init__()
        self.noise, self.stacked = noise, stacked

    def forward(self, values: Tensor) -> Tensor:
        """Random numbers from 0 to below 1, the same shape."""
        rank, processes, rows = self.noise.share or (0, 1, len(values))
        found = values.new_zeros((rows, *values.shape[1:]))
        each = zip(found if self.stacked else [found], self.noise.generators(values.device), strict=False)
        for member, (part, generator) in enumerate(each):
            own = part if self.noise.rows is None else part[: self.noise.rows[member]]
            own.uniform_(generator=generator)
        return found[rank::processes] if rank < rows else found[:1]


class Noise:
    """The random streams of members, started anew in each epoch.

    Args:
        seeds: per member what decides them.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = list(seeds)
        self.layers: list[SeededDropout] = []
        # This process, how many there are, and the rows of their batch together; None where it has all of them.
        self.share: tuple[int, int, int] | None = None
        self.rows: Sequence[int] | None = None  # of each member's batch that count, where batches are filled up
        self.epochs: list[int] | None = None  # of each member's training, -1 where nobody knows
        self._epoch = 0
        self._generators: list[torch.Generator] = []

    def start(self, epoch: int) -> None:
        """Opens an epoch."""
        self._epoch = epoch
        for generator, seed in zip(self._generators, self.seeds, strict=False):
            generator.manual_seed(noise_seed(seed, epoch))

    def generators(self, device: torch.device) -> list[torch.Generator]:
        """One for each member."""
        if len(self._generators) != len(self.seeds) or self._generators[0].device != device:
            self._generators = [torch.Generator(device) for _ in self.seeds]
            self.start(self._epoch)
        return self._generators

    def left(self, member: int) -> float:
        """How much of its probability dropout that fades has in this epoch."""
        whole = self.epochs[member] if self.epochs else -1
        return flat_cos(min(self._epoch / whole, 1.0)) if whole > 0 else 1.0

    def layer(
        self, rates: Sequence[float], stacked: bool, widths: Sequence[int] | None = None, fades: bool = False
    ) -> SeededDropout:
        """A dropout layer that draws from these streams."""
        self.layers.append(SeededDropout(rates, self, stacked, widths, fades))
        return self.layers[-1]

    def keep(self, index: Sequence[int]) -> None:
        """Keeps only these members, with their streams as they stand."""
        self.seeds = [self.seeds[i] for i in index]
        self.epochs = self.epochs and [self.epochs[i] for i in index]
        self._generators = [self._generators[i] for i in index] if self._generators else []
        for layer in self.layers:
            layer.rates = [layer.rates[i] for i in index]
            layer.widths = layer.widths and [layer.widths[i] for i in index]


def seed_dropout(net: nn.Module, noise: Noise) -> bool:
    """Replaces what draws random numbers in a net by seeded layers, in place; whether any of them does something."""
    found = False
    for module in list(net.modules()):
        for name, child in list(module._modules.items()):  # named_children() leaves out who occurs twice
            if type(child) is nn.Dropout:
                layer = noise.layer([child.p], stacked=False, fades=getattr(child, "fades", False))
                setattr(module, name, layer.train(child.training))
                found |= child.p > 0
            elif type(child) is Uniform:
                setattr(module, name, SeededUniform(noise, stacked=False).train(child.training))
                found = True
    return found
