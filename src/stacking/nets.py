"""Nets with a member axis: many straight lines, or many perceptrons, in a few matrix products.

The weights of all members are one matrix (members, parameters), a row of which holds a net's parameters
one after the other, in the order of its ``state_dict``. Gradients are written out by hand: at this size
autograd costs three times the arithmetic.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from src.models.mlp import MLP

_aten = torch.ops.aten
# The slope of each activation, as autograd computes it: from (slope by the output, input, output).
_SLOPES: dict[type[nn.Module], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda slope, before, after: _aten.threshold_backward(slope, after, 0),
    nn.Tanh: lambda slope, before, after: _aten.tanh_backward(slope, after),
    nn.Sigmoid: lambda slope, before, after: _aten.sigmoid_backward(slope, after),
    nn.GELU: lambda slope, before, after: _aten.gelu_backward(slope, before),
    nn.SiLU: lambda slope, before, after: _aten.silu_backward(slope, before),
    nn.Identity: lambda slope, before, after: slope,
}


class StackedNet(Protocol):
    """What the engine needs of a net."""

    sizes: list[int]  # hidden values of a row, layer by layer

    def forward(self, weights: Tensor, features: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """Predictions (members, rows) of features (rows, features) or (members, rows, features)."""
        ...

    def backward(self, slope: Tensor, gradient: Tensor) -> None:
        """Fills the gradient (members, parameters) from slopes (members, rows) of the last forward."""
        ...


class Lines:
    """Straight lines: a weight per feature, then the bias."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def forward(self, weights: Tensor, features: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """See ``StackedNet``."""
        self._features = features
        slopes, bias = weights[:, :-1], weights[:, -1:]
        if features.dim() == 2:
            return torch.addmm(bias, slopes, features.t())
        return torch.baddbmm(bias[:, None], slopes[:, None], features.transpose(1, 2))[:, 0]

    def backward(self, slope: Tensor, gradient: Tensor) -> None:
        """See ``StackedNet``."""
        if self._features.dim() == 2:
            gradient[:, :-1] = slope @ self._features
        else:
            gradient[:, :-1] = torch.bmm(slope[:, None], self._features)[:, 0]
        torch.sum(slope, 1, out=gradient[:, -1])


class Perceptrons:
    """Multilayer perceptrons of one shape.

    Args:
        features: columns of the input.
        hidden: width of each hidden layer.
        activation: an element-wise module.
    """

    def __init__(self, features: int, hidden: Sequence[int], activation: nn.Module) -> None:
        self.sizes = list(hidden)
        self._widths = [features, *hidden, 1]
        self._activation = activation
        self._slope = _SLOPES.get(type(activation))

    def _layers(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Views of the rows: per layer a weight (members, out, in) and a bias (members, 1, out)."""
        layers, start = [], 0
        for into, out in zip(self._widths, self._widths[1:], strict=False):
            end = start + into * out
            layers.append((weights[:, start:end].unflatten(1, (out, into)), weights[:, None, end : end + out]))
            start = end + out
        return layers

    def forward(self, weights: Tensor, features: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """See ``StackedNet``; ``masks`` are factors (members, rows, width) on each layer's hidden values."""
        layers = self._layers(weights)
        values = features if features.dim() == 3 else features.expand(len(weights), *features.shape)
        # (input of the layer, what its activation saw, what the activation gave)
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for index, (weight, bias) in enumerate(layers[:-1]):
            before = torch.baddbmm(bias, values, weight.transpose(1, 2))
            after = self._activation(before)
            kept.append((values, before, after))
            values = after * masks[index] if masks else after
        weight, bias = layers[-1]
        self._trace = (layers, kept, values, masks)
        return torch.baddbmm(bias, values, weight.transpose(1, 2))[:, :, 0]

    def backward(self, slope: Tensor, gradient: Tensor) -> None:
        """See ``StackedNet``."""
        layers, kept, values, masks = self._trace
        parts = self._layers(gradient)
        slopes = slope[:, :, None]
        for index in range(len(layers) - 1, -1, -1):
            weight, bias = parts[index]
            weight.copy_(torch.bmm(slopes.transpose(1, 2), values))
            bias.copy_(slopes.sum(1, keepdim=True))
            if index == 0:
                break
            slopes = torch.bmm(slopes, layers[index][0])
            if masks:
                slopes = slopes * masks[index - 1]
            values, before, after = kept[index - 1]
            slopes = self._through(slopes, before, after)

    def _through(self, slopes: Tensor, before: Tensor, after: Tensor) -> Tensor:
        if self._slope is not None:
            return self._slope(slopes, before, after)
        with torch.enable_grad():
            start = before.detach().requires_grad_()
            return torch.autograd.grad(self._activation(start), start, slopes)[0]


def stacked(net: nn.Module) -> StackedNet | None:
    """The stacked form of a net; None where there is none."""
    if isinstance(net, MLP):
        linears = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        hidden = [layer.out_features for layer in linears[:-1]]
        activation = net.layers[1] if hidden else nn.Identity()
        return Perceptrons(linears[0].in_features, hidden, activation)
    names = {name for name, _ in net.named_parameters()}
    return Lines() if names == {"weight", "bias"} else None


def flat(net: nn.Module) -> Tensor:
    """A net's parameters as one row (parameters,)."""
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def unflat(row: Tensor, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """A row (parameters,) as a ``state_dict`` of these shapes: views of the row."""
    parts = row.split([math.prod(shape) for shape in shapes.values()])
    return {name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
