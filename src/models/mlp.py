"""A multilayer perceptron."""

from collections.abc import Sequence

from torch import Tensor, nn

from src.errors import UserError, nearest

ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "mish": nn.Mish,
    "none": nn.Identity,  # however deep, the net is then a straight line
}


class MLP(nn.Module):
    """Linear layers with an activation, and dropout where asked for, after each hidden one.

    Args:
        features: columns of the input.
        hidden: width of each hidden layer.
        activation: a name in ``ACTIVATIONS``.
        dropout: probability of a hidden value being zeroed while training.
        outputs: columns of the output.

    Shape:
        (rows, features) to (rows, outputs).

    Raises:
        UserError: the activation is unknown.
    """

    def __init__(self, features: int, hidden: Sequence[int], activation: str, dropout: float, outputs: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = features
        for size in hidden:
            layers += [nn.Linear(width, size), activation_of(activation)]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = size
        layers.append(nn.Linear(width, outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (rows, outputs), in encoded units."""
        return self.layers(features)


def activation_of(name: str) -> nn.Module:
    """The activation of a name in ``ACTIVATIONS``.

    Raises:
        UserError: it is unknown.
    """
    if name not in ACTIVATIONS:
        raise UserError(f"model.activation {name!r} is unknown{nearest(name, list(ACTIVATIONS))}")
    return ACTIVATIONS[name]()
