"""RealMLP-TD, a perceptron with defaults tuned on many tables (Holzmüller, Grinsztajn and Steinwart, 2024).

A rate of its own for a part of the net is a factor in front of its numbers: a step of Adam is as large whatever the
gradient, so that what is held divided by 6 and used times 6 learns at 6 times the learning rate. Thus the optimizer is
torch's own, in a stack as alone.

Left out of the publication, or otherwise: one-hot columns are not centered and scaled; weight decay is lr times its
strength everywhere, without the factors, and draws biases and mixing weights to where they started, where published
biases have none; rates and weight decay move by the step, dropout by the epoch.

On four small tables its error is 1 % above that of ``model=table`` in the mean, and it takes at least three times as
long (``data=csv folds=5``, test RMSE, mean of five outer folds, one thread, ``python -m tests.benchmarks.tables``):
births 1.050 and 1.067, cars 2.830 and 2.728, hitters 300.6 and 295.8, penguins 290.9 and 288.7.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.models.mlp import activation_of

_SCALE, _BIAS, _MIXING, _EMBEDDING = 6.0, 0.1, 0.1, 0.1  # times the learning rate
STARTED_FROM = 1 << 14  # training rows at most
_CORNERS = 5  # training rows between whose outputs a unit starts to bend


class RealMLP(nn.Module):
    """A factor for each input, hidden layers with activations that learn how much they bend, and a layer at the end.

    Evaluated, it predicts nothing outside the range of the training rows' target.

    Args:
        features: columns of the input.
        hidden: width of each hidden layer.
        activation: a name in ``ACTIVATIONS``.
        dropout: probability of a hidden value being zeroed while training; it falls to 0 in the second half.
        outputs: columns of the output.
        targets: how many of them are predictions of a target of their own; of one they all are of it.

    Shape:
        (rows, features) to (rows, outputs).

    Raises:
        UserError: the activation is unknown.
    """

    embedding_rate = _EMBEDDING  # of an embedding of numbers in front of it

    def __init__(
        self,
        features: int,
        hidden: Sequence[int],
        activation: str,
        dropout: float,
        outputs: int = 1,
        targets: int = 1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Scale(features)]
        width = features
        for size in hidden:
            layers += [RealLinear(width, size), _Mixed(size, activation)]
            if dropout:
                layers.append(nn.Dropout(dropout))
                layers[-1].fades = True  # type: ignore[assignment]  # to src.training.dropout, which knows no nets
            width = size
        self.layers = nn.Sequential(*layers, RealLinear(width, outputs))
        # With a dimension for rows, so that it broadcasts with and without a member axis before it.
        self.range = nn.Buffer(torch.tensor([[-torch.inf] * targets + [torch.inf] * targets]))
        self.targets = targets

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, outputs), in encoded units."""
        found = self.layers(features)
        return found if self.training else found.clamp(self.range[..., : self.targets], self.range[..., self.targets :])

    @torch.no_grad()
    def start(self, features: Tensor, extent: Sequence[tuple[float, float]], seed: int) -> None:
        """Scales each layer by what it gives of training rows (rows, features), and places its biases among them.

        Args:
            features: as this net sees them.
            extent: the least and the greatest value of each target of the training rows, encoded.
            seed: decides the biases.
        """
        generator = torch.Generator().manual_seed(seed)
        values = features
        for layer in self.layers:
            if isinstance(layer, RealLinear):
                layer.start(values, generator)
            values = values if isinstance(layer, nn.Dropout) else layer(values)
        self.range.copy_(torch.tensor([[low for low, _ in extent] + [high for _, high in extent]]))


class _Scale(nn.Module):
    """A factor for each column."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, features), 1 / _SCALE))

    def forward(self, values: Tensor) -> Tensor:
        return values * (self.weight * _SCALE)


class RealLinear(nn.Module):
    """values @ weight / √inputs + bias: the neural tangent parametrization, in which a weight is about 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.root = math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(1, outputs))
        self.origin = nn.Buffer(torch.zeros(1, outputs))  # of the bias; decay draws it here

    def forward(self, values: Tensor) -> Tensor:
        shift = torch.add(self.origin, self.bias, alpha=_BIAS)
        product = torch.addmm if values.dim() == 2 else torch.baddbmm  # one pass over the rows, alone and in a stack
        return product(shift, values, self.weight, alpha=1 / self.root)

    def start(self, rows: Tensor, generator: torch.Generator) -> None:
        """Each output gets deviation 1, and the opposite of a random mean of a few rows' outputs as its bias."""
        found = rows @ self.weight / self.root
        deviation = found.std(0, correction=0)
        factor = torch.where(deviation > 0, 1 / deviation, 1.0)
        self.weight.mul_(factor)
        outputs = len(factor)
        corners = torch.randint(len(rows), (_CORNERS, outputs), generator=generator).to(rows.device)
        shares = torch.empty(_CORNERS, outputs).exponential_(generator=generator).to(rows)
        self.origin.copy_(-((found * factor).gather(0, corners) * shares / shares.sum(0)).sum(0, keepdim=True))


class _Mixed(nn.Module):
    """x + a (activation(x) - x), with an a for each unit, at first 1."""

    def __init__(self, units: int, activation: str) -> None:
        super().__init__()
        self.activation = activation_of(activation)
        self.mixing = nn.Parameter(torch.zeros(1, units))

    def forward(self, values: Tensor) -> Tensor:
        return torch.lerp(values, self.activation(values), 1 + self.mixing * _MIXING)


def start(net: nn.Module, features: Tensor, extent: Sequence[tuple[float, float]], seed: int) -> None:
    """Starts the ``RealMLP`` within a net on training rows as the whole net sees them, see ``RealMLP.start``."""
    inner = next(layer for layer in net.modules() if isinstance(layer, RealMLP))
    seen: list[Tensor] = []
    hook = inner.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    training = net.training
    with torch.no_grad():
        net.eval()(features)
    net.train(training)
    hook.remove()
    inner.start(seen[0], extent, seed)
