"""Optimizer update rules with a member axis: every row of a matrix is one member's weights.

Each rule repeats the arithmetic of ``torch.optim``'s plain implementation, operation by operation, with
hyperparameters that may differ from member to member. In place; nothing here is differentiated.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Values = dict[str, Tensor]
Update = Callable[[Tensor, Tensor, "Rule", Values], None]


class Rule:
    """One optimizer for all members of a stack.

    Args:
        kind: the path of the optimizer in torch, a key of ``RULES``.
        settings: per hyperparameter a (members, 1) tensor in float64, whatever the weights are in, because
            1 - 0.999 in float32 is off by 5e-5 of itself.
        flags: switches that all members share: ``nesterov``, ``amsgrad``, ``centered``.
        like: the weights, (members, parameters).
    """

    def __init__(self, kind: str, settings: Values, flags: frozenset[str], like: Tensor) -> None:
        self.exact: Values = {}
        self.settings: Values = {}  # in the precision of the weights
        self._dtype = like.dtype
        for name, values in settings.items():
            self.set(name, values)
        self.flags = flags
        self.steps = 0
        self._update, buffers = RULES[kind]
        self.state = {name: torch.zeros_like(like) for name in buffers(settings, flags)}

    def step(self, weights: Tensor, gradient: Tensor) -> None:
        """One optimizer step on (members, parameters); the gradient may be overwritten."""
        self.steps += 1
        self._update(weights, gradient, self, self.state)

    def set(self, name: str, values: Tensor) -> None:
        """Changes a hyperparameter to (members, 1) values, as a schedule does between steps."""
        self.exact[name] = values
        self.settings[name] = values.to(self._dtype)

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        for name, values in self.exact.items():
            self.set(name, values[index])
        self.state = {name: values[index] for name, values in self.state.items()}


def _sgd(weights: Tensor, gradient: Tensor, rule: Rule, state: Values) -> None:
    settings = rule.settings
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    if "momentum" in settings:
        buffer = state["momentum_buffer"]
        buffer.mul_(settings["momentum"]).add_(gradient)
        gradient = gradient.addcmul_(buffer, settings["momentum"]) if "nesterov" in rule.flags else buffer
    weights.addcmul_(gradient, settings["lr"], value=-1)


def _adam(weights: Tensor, gradient: Tensor, rule: Rule, state: Values) -> None:
    """Kingma and Ba, 2015, algorithm 1; AMSGrad after Reddi et al., 2018; AdamW after Loshchilov and Hutter, 2019."""
    settings, exact = rule.settings, rule.exact
    lr, beta1, beta2 = exact["lr"], exact["beta1"], exact["beta2"]
    if "weight_decay" in settings:
        if "decoupled" in rule.flags:
            weights.mul_((1 - lr * exact["weight_decay"]).to(weights.dtype))
        else:
            gradient.addcmul_(weights, settings["weight_decay"])
    first, second = state["exp_avg"], state["exp_avg_sq"]
    first.lerp_(gradient, (1 - beta1).to(first.dtype))
    second.mul_(settings["beta2"]).addcmul_(gradient * gradient, (1 - beta2).to(second.dtype))
    if "amsgrad" in rule.flags:
        largest = state["max_exp_avg_sq"]
        second = torch.maximum(largest, second, out=largest)
    size = (lr / (1 - beta1**rule.steps)).to(weights.dtype)
    scale = (1 - beta2**rule.steps).sqrt().to(weights.dtype)
    denominator = second.sqrt().div_(scale).add_(settings["eps"])
    weights.addcdiv_(first * size, denominator, value=-1)


def _rmsprop(weights: Tensor, gradient: Tensor, rule: Rule, state: Values) -> None:
    """Tieleman and Hinton, 2012; centered after Graves, 2013."""
    settings = rule.settings
    rest = (1 - rule.exact["alpha"]).to(weights.dtype)
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    square = state["square_avg"]
    square.mul_(settings["alpha"]).addcmul_(gradient * gradient, rest)
    if "centered" in rule.flags:
        mean = state["grad_avg"]
        mean.lerp_(gradient, rest)
        root = torch.addcmul(square, mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(settings["eps"])
    if "momentum" in settings:
        buffer = state["momentum_buffer"]
        buffer.mul_(settings["momentum"]).addcdiv_(gradient, root)
        weights.addcmul_(buffer, settings["lr"], value=-1)
    else:
        weights.addcmul_(gradient.div_(root), settings["lr"], value=-1)


def _sgd_buffers(settings: Values, flags: frozenset[str]) -> list[str]:
    return ["momentum_buffer"] if "momentum" in settings else []


def _adam_buffers(settings: Values, flags: frozenset[str]) -> list[str]:
    return ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * ("amsgrad" in flags)


def _rmsprop_buffers(settings: Values, flags: frozenset[str]) -> list[str]:
    return ["square_avg"] + ["momentum_buffer"] * ("momentum" in settings) + ["grad_avg"] * ("centered" in flags)


RULES: dict[str, tuple[Update, Callable[[Values, frozenset[str]], list[str]]]] = {
    "torch.optim.SGD": (_sgd, _sgd_buffers),
    "torch.optim.Adam": (_adam, _adam_buffers),
    "torch.optim.AdamW": (_adam, _adam_buffers),
    "torch.optim.RMSprop": (_rmsprop, _rmsprop_buffers),
}

FLAGS = ("nesterov", "amsgrad", "centered")
HYPERPARAMETERS = {
    "torch.optim.SGD": {"lr", "momentum", "weight_decay"},
    "torch.optim.Adam": {"lr", "betas", "eps", "weight_decay"},
    "torch.optim.AdamW": {"lr", "betas", "eps", "weight_decay"},
    "torch.optim.RMSprop": {"lr", "alpha", "eps", "momentum", "weight_decay"},
}
