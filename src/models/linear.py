"""A straight line: y = x w + b."""

import torch
from torch import nn


def linear(features: int, init: dict[str, float | None], outputs: int = 1) -> nn.Linear:
    """``nn.Linear`` from (rows, features) to (rows, outputs), started at given values where there are any.

    Args:
        features: columns of the input.
        outputs: columns of the output.
        init: ``weight`` and ``bias``; None leaves PyTorch's random start.
    """
    net = nn.Linear(features, outputs)
    with torch.no_grad():
        if init["weight"] is not None:
            net.weight.fill_(init["weight"])
        if init["bias"] is not None:
            net.bias.fill_(init["bias"])
    return net
