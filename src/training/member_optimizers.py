"""Updates with a member axis, where hyperparameters differ from member to member.

They repeat the arithmetic of ``torch.optim``'s plain implementation, operation by operation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, optim

from src.training.matrix import Matrix
from src.training.optimizers import Make, StackedOptimizer, Values

_NUMBERS = ("lr", "momentum", "weight_decay", "eps", "alpha")


class Differing(StackedOptimizer):
    """An optimizer whose hyperparameters differ between members.

    Args:
        matrix: the members' weights.
        makes: per member the optimizer's constructor.

    Raises:
        ValueError, TypeError: a member's optimizer refuses its arguments.
    """

    def __init__(self, matrix: Matrix, makes: Sequence[Make]) -> None:
        super().__init__(matrix)
        made = {make: make([torch.zeros(1, requires_grad=True)]).param_groups[0] for make in dict.fromkeys(makes)}
        self._groups = [made[make] for make in makes]
        self.options = self._groups[0]  # those that are no hyperparameters are everybody's
        self._rule, _ = UPDATES[getattr(makes[0], "func", makes[0])]
        self.state = {}
        # In float64, whatever the weights are in, because 1 - 0.999 in float32 is off by 5e-5 of itself.
        self.exact: Values = {}
        self.settings: Values = {}  # in the precision of the weights
        columns = {name: [group[name] for group in self._groups] for name in _NUMBERS if name in self.options}
        if "betas" in self.options:
            columns |= {f"beta{place + 1}": [group["betas"][place] for group in self._groups] for place in (0, 1)}
        for name, values in columns.items():
            if name not in ("momentum", "weight_decay") or any(values):
                self.set(name, torch.tensor(values, dtype=torch.float64, device=matrix.values.device)[:, None])

    def set(self, name: str, values: Tensor) -> None:
        """Changes a hyperparameter to (members, 1) values in float64, as a schedule does between steps."""
        self.exact[name] = values
        self.settings[name] = values.to(self._matrix.values.dtype)

    def buffer(self, name: str) -> Tensor:
        """What is kept for each parameter under torch's name, (members, parameters); zero at first."""
        if name not in self.state:
            self.state[name] = torch.zeros_like(self._matrix.values)
        return self.state[name]

    def count(self) -> Tensor:
        """Each member's steps (members, 1), with the one that begins."""
        if "step" not in self.state:
            # torch counts in the default precision, which Lightning makes that of the weights; a fused kernel in
            # float32.
            exact = self._matrix.values.dtype is torch.float64 and not self.options.get("fused")
            shape, device = (len(self._groups), 1), self._matrix.values.device
            self.state["step"] = torch.zeros(shape, dtype=torch.float64 if exact else torch.float32, device=device)
        self.state["step"] += 1
        return self.state["step"]

    def _update(self) -> None:
        self._rule(self._matrix.values, self._matrix.gradient, self)

    def group(self, member: int) -> dict[str, Any]:
        """See ``StackedOptimizer``."""
        own: dict[str, Any] = {name: float(values[member, 0]) for name, values in self.exact.items()}
        if "beta1" in own:
            own["betas"] = (own.pop("beta1"), own.pop("beta2"))
        return {key: value for key, value in self._groups[member].items() if key != "params"} | own

    def load(self, rows: Values, shared: Sequence[dict[str, Any]]) -> None:
        """See ``StackedOptimizer``; each member has counted its own steps."""
        super().load(rows, shared)
        steps = [each["step"] for each in shared if "step" in each]
        if steps:
            self.state["step"] = torch.stack(steps)[:, None].to(self._matrix.values.device)

    def keep(self, index: Tensor) -> None:
        """See ``StackedOptimizer``."""
        super().keep(index)
        for name, values in self.exact.items():
            self.set(name, values[index])
        self._groups = [self._groups[i] for i in index.tolist()]


def _sgd(weights: Tensor, gradient: Tensor, own: Differing) -> None:
    settings = own.settings
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    if "momentum" in settings:
        buffer = own.buffer("momentum_buffer")
        buffer.mul_(settings["momentum"]).add_(gradient)
        gradient = gradient.addcmul(buffer, settings["momentum"]) if own.options["nesterov"] else buffer
    weights.addcmul_(gradient, settings["lr"], value=-1)


def _adam(weights: Tensor, gradient: Tensor, own: Differing, decoupled: bool = False) -> None:
    """Kingma and Ba, 2015, algorithm 1; AMSGrad after Reddi et al., 2018; AdamW after Loshchilov and Hutter, 2019."""
    settings, exact, steps = own.settings, own.exact, own.count()
    lr, beta1, beta2 = exact["lr"], exact["beta1"], exact["beta2"]
    if "weight_decay" in settings:
        if decoupled:
            weights.mul_((1 - lr * exact["weight_decay"]).to(weights.dtype))
        else:
            gradient.addcmul_(weights, settings["weight_decay"])
    first, second = own.buffer("exp_avg"), own.buffer("exp_avg_sq")
    first.lerp_(gradient, (1 - beta1).to(first.dtype))
    second.mul_(settings["beta2"]).addcmul_(gradient * gradient, (1 - beta2).to(second.dtype))
    if own.options["amsgrad"]:
        largest = own.buffer("max_exp_avg_sq")
        second = torch.maximum(largest, second, out=largest)
    size = (lr / (1 - beta1**steps)).to(weights.dtype)
    scale = (1 - beta2**steps).sqrt().to(weights.dtype)
    denominator = second.sqrt().div_(scale).add_(settings["eps"])
    weights.addcdiv_(first * size, denominator, value=-1)


def _rmsprop(weights: Tensor, gradient: Tensor, own: Differing) -> None:
    """Tieleman and Hinton, 2012; centered after Graves, 2013."""
    settings = own.settings
    own.count()
    rest = (1 - own.exact["alpha"]).to(weights.dtype)
    if "weight_decay" in settings:
        gradient.addcmul_(weights, settings["weight_decay"])
    square = own.buffer("square_avg")
    square.mul_(settings["alpha"]).addcmul_(gradient * gradient, rest)
    if own.options["centered"]:
        mean = own.buffer("grad_avg")
        mean.lerp_(gradient, rest)
        root = torch.addcmul(square, mean, mean, value=-1).sqrt_()
    else:
        root = square.sqrt()
    root.add_(settings["eps"])
    if "momentum" in settings:
        buffer = own.buffer("momentum_buffer")
        buffer.mul_(settings["momentum"]).addcdiv_(gradient, root)
        weights.addcmul_(buffer, settings["lr"], value=-1)
    else:
        weights.addcmul_(gradient.div_(root), settings["lr"], value=-1)


# Each changes weights in place from a gradient that it may overwrite; with it the options in which members may differ.
UPDATES: dict[Any, tuple[Callable[[Tensor, Tensor, Differing], None], frozenset[str]]] = {
    optim.SGD: (_sgd, frozenset({"lr", "momentum", "weight_decay"})),
    optim.Adam: (_adam, frozenset({"lr", "betas", "eps", "weight_decay"})),
    optim.AdamW: (partial(_adam, decoupled=True), frozenset({"lr", "betas", "eps", "weight_decay"})),
    optim.RMSprop: (_rmsprop, frozenset({"lr", "alpha", "eps", "momentum", "weight_decay"})),
}
