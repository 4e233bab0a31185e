"""Updates with a member axis, where hyperparameters differ from member to member.

They repeat the arithmetic of ``torch.optim``'s plain implementation, operation by operation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, optim

Values = dict[str, Tensor]


class Own(Protocol):
    """What an update knows of the members: (members, 1) hyperparameters, and what it keeps, (members, parameters)."""

    settings: Values  # in the precision of the weights
    exact: Values  # in float64
    flags: frozenset[str]
    steps: Tensor | int
    state: Values


def hyperparameters(groups: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The numbers of parameter groups that a rule knows, by name; betas are two."""
    found: dict[str, list[float]] = {}
    for group in groups:
        for name in ("lr", "momentum", "weight_decay", "eps", "alpha"):
            if name in group:
                found.setdefault(name, []).append(float(group[name]))
        for name, value in zip(("beta1", "beta2"), group.get("betas", ()), strict=False):
            found.setdefault(name, []).append(float(value))
    return found


def _sgd(weights: Tensor, gradient: Tensor, own: Own) -> None:
    settings = own.settings
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    if "momentum" in settings:
        buffer = own.state["momentum_buffer"]
        buffer.mul_(settings["momentum"]).add_(gradient)
        gradient = gradient.addcmul(buffer, settings["momentum"]) if "nesterov" in own.flags else buffer
    weights.addcmul_(gradient, settings["lr"], value=-1)


def _adam(weights: Tensor, gradient: Tensor, own: Own) -> None:
    """Kingma and Ba, 2015, algorithm 1; AMSGrad after Reddi et al., 2018; AdamW after Loshchilov and Hutter, 2019."""
    settings, exact, steps = own.settings, own.exact, own.steps
    lr, beta1, beta2 = exact["lr"], exact["beta1"], exact["beta2"]
    if "weight_decay" in settings:
        if "decoupled" in own.flags:
            weights.mul_((1 - lr * exact["weight_decay"]).to(weights.dtype))
        else:
            gradient.addcmul_(weights, settings["weight_decay"])
    first, second = own.state["exp_avg"], own.state["exp_avg_sq"]
    first.lerp_(gradient, (1 - beta1).to(first.dtype))
    second.mul_(settings["beta2"]).addcmul_(gradient * gradient, (1 - beta2).to(second.dtype))
    if "amsgrad" in own.flags:
        largest = own.state["max_exp_avg_sq"]
        second = torch.maximum(largest, second, out=largest)
    size = (lr / (1 - beta1**steps)).to(weights.dtype)
    scale = (1 - beta2**steps).sqrt().to(weights.dtype)
    denominator = second.sqrt().div_(scale).add_(settings["eps"])
    weights.addcdiv_(first * size, denominator, value=-1)


def _rmsprop(weights: Tensor, gradient: Tensor, own: Own) -> None:
    """Tieleman and Hinton, 2012; centered after Graves, 2013."""
    settings = own.settings
    rest = (1 - own.exact["alpha"]).to(weights.dtype)
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    square = own.state["square_avg"]
    square.mul_(settings["alpha"]).addcmul_(gradient * gradient, rest)
    if "centered" in own.flags:
        mean = own.state["grad_avg"]
        mean.lerp_(gradient, rest)
        root = torch.addcmul(square, mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(settings["eps"])
    if "momentum" in settings:
        buffer = own.state["momentum_buffer"]
        buffer.mul_(settings["momentum"]).addcdiv_(gradient, root)
        weights.addcmul_(buffer, settings["lr"], value=-1)
    else:
        weights.addcmul_(gradient.div_(root), settings["lr"], value=-1)


@dataclass(frozen=True)
class Rule:
    """An update with a member axis.

    Args:
        update: changes weights in place from a gradient that it may overwrite.
        buffers: what it keeps for each parameter, by torch's names.
        settings: the hyperparameters in which members may differ.
        counts: whether torch's state has a count of steps.
    """

    update: Callable[[Tensor, Tensor, Own], None]
    buffers: Callable[[Values, frozenset[str]], list[str]]
    settings: frozenset[str]
    counts: bool


FLAGS = ("nesterov", "amsgrad", "centered")
_ADAM = Rule(
    _adam,
    lambda settings, flags: ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * ("amsgrad" in flags),
    frozenset({"lr", "betas", "eps", "weight_decay"}),
    counts=True,
)
RULES: dict[Any, Rule] = {
    optim.SGD: Rule(
        _sgd,
        lambda settings, flags: ["momentum_buffer"] * ("momentum" in settings),
        frozenset({"lr", "momentum", "weight_decay"}),
        counts=False,
    ),
    optim.Adam: _ADAM,
    optim.AdamW: _ADAM,
    optim.RMSprop: Rule(
        _rmsprop,
        lambda settings, flags: (
            ["square_avg"] + ["momentum_buffer"] * ("momentum" in settings) + ["grad_avg"] * ("centered" in flags)
        ),
        frozenset({"lr", "alpha", "eps", "momentum", "weight_decay"}),
        counts=True,
    ),
}
