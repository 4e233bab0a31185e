"""Optimizers over a matrix of members: torch's own where members agree, rules with a member axis where they differ.

Every row of a matrix (members, parameters) is one member's weights, and torch's optimizers are element-wise, so one
of them updates all rows as it would each alone.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from src.training.members import Matrix
from src.training.rules import FLAGS, RULES, Values, hyperparameters

Make = Callable[..., Optimizer]  # takes parameters, or parameter groups

# Those of torch whose update of a number looks at that number's own gradient and history alone.
ELEMENTWISE = (
    *(optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Adamax),
    *(optim.NAdam, optim.RAdam, optim.ASGD, optim.Rprop),
)


class StackedOptimizer(Protocol):
    """What the engine and the checkpoints of members need."""

    def step(self) -> None:
        """Updates all members from the matrix's gradient, which may be overwritten."""

    def rows(self) -> Values:
        """What is kept for each parameter, (members, parameters) by name; not copied."""

    def group(self, member: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """torch's parameter group of a member as it stands, and what its state has beside ``rows``."""

    def keep(self, index: Tensor) -> None:
        """Keeps only these members; the matrix has been replaced."""


class Agreeing:
    """torch's own optimizer over the whole matrix.

    Args:
        matrix: the members' weights.
        make: the optimizer's constructor, the same for all.
    """

    def __init__(self, matrix: Matrix, make: Make) -> None:
        self._matrix = matrix
        self.torch = make([self._parameter()])
        self._step = bare_step(self.torch)

    def step(self) -> None:
        """See ``StackedOptimizer``."""
        with torch.no_grad():
            self._step(self.torch)

    def rows(self) -> Values:
        """See ``StackedOptimizer``."""
        return {name: part for name, part in self._state().items() if _is_row(part, self._matrix.values)}

    def group(self, member: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """See ``StackedOptimizer``."""
        shared = {n: copy.deepcopy(p) for n, p in self._state().items() if not _is_row(p, self._matrix.values)}
        return {key: value for key, value in self.torch.param_groups[0].items() if key != "params"}, shared

    def keep(self, index: Tensor) -> None:
        """See ``StackedOptimizer``."""
        state = self._state()
        size = max((len(part) for part in state.values() if isinstance(part, Tensor) and part.dim() == 2), default=0)
        kept = {
            n: p[index] if isinstance(p, Tensor) and p.dim() == 2 and len(p) == size else p for n, p in state.items()
        }
        parameter = self._parameter()
        self.torch.state.clear()
        self.torch.state[parameter] = kept
        self.torch.param_groups[0]["params"] = [parameter]

    def _parameter(self) -> nn.Parameter:
        parameter = nn.Parameter(self._matrix.values)
        parameter.grad = self._matrix.gradient
        return parameter

    def _state(self) -> dict[str, Any]:
        return next(iter(self.torch.state.values()), {})


def _is_row(part: Any, values: Tensor) -> bool:
    return isinstance(part, Tensor) and part.shape == values.shape


def bare_step(optimizer: Optimizer) -> Callable[[Optimizer], Any]:
    """The optimizer's step as its class defines it, to be called where no gradients are recorded.

    Without torch's wrappers, for profilers and differentiable steps, which cost as much as a small model's update.
    """
    optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler's wrapper would note
    found: Any = type(optimizer).step
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found


class Differing:
    """An optimizer whose hyperparameters differ between members.

    Args:
        matrix: the members' weights.
        makes: per member the optimizer's constructor.
        cycled: hyperparameters that a schedule changes, so that they count though they start at zero.

    Raises:
        ValueError, TypeError: a member's optimizer refuses its arguments.
    """

    def __init__(self, matrix: Matrix, makes: Sequence[Make], cycled: Sequence[str] = ()) -> None:
        self._matrix = matrix
        self._makes = list(makes)
        made: dict[int, dict[str, Any]] = {}
        for make in makes:
            if id(make) not in made:
                made[id(make)] = make([torch.zeros(1, requires_grad=True)]).param_groups[0]
        self.groups = [made[id(make)] for make in makes]
        kind = kind_of(makes[0])
        self.rule = RULES[kind]
        # In float64, whatever the weights are in, because 1 - 0.999 in float32 is off by 5e-5 of itself.
        self.exact: Values = {}
        self.settings: Values = {}  # in the precision of the weights
        for name, values in hyperparameters(self.groups).items():
            if name in cycled or name not in ("momentum", "weight_decay") or any(values):
                self.set(name, torch.tensor(values, dtype=torch.float64, device=matrix.values.device)[:, None])
        self.flags = frozenset(flag for flag in FLAGS if self.groups[0].get(flag))
        self.flags |= {"decoupled"} if kind is optim.AdamW else set()
        self.steps: Tensor | int = 0
        self.state = {name: torch.zeros_like(matrix.values) for name in self.rule.buffers(self.settings, self.flags)}

    def step(self) -> None:
        """See ``StackedOptimizer``."""
        self.steps = self.steps + 1
        with torch.no_grad():
            self.rule.update(self._matrix.values, self._matrix.gradient, self)

    def set(self, name: str, values: Tensor) -> None:
        """Changes a hyperparameter to (members, 1) values in float64, as a schedule does between steps."""
        self.exact[name] = values
        self.settings[name] = values.to(self._matrix.values.dtype)

    def rows(self) -> Values:
        """See ``StackedOptimizer``."""
        return self.state

    def group(self, member: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """See ``StackedOptimizer``."""
        group = {key: value for key, value in self.groups[member].items() if key != "params"}
        for name, values in self.exact.items():
            value = float(values[member, 0])
            if name in ("beta1", "beta2"):
                betas = list(group["betas"])
                betas[name == "beta2"] = value
                group["betas"] = tuple(betas)
            else:
                group[name] = value
        steps = self.steps if isinstance(self.steps, int) else int(self.steps[member, 0])
        # torch counts in the default precision, which Lightning makes that of the weights; a fused kernel in float32.
        exact = self._matrix.values.dtype is torch.float64 and not group.get("fused")
        count = torch.tensor(float(steps), dtype=torch.float64 if exact else torch.float32)
        return group, {"step": count} if self.rule.counts and steps else {}

    def keep(self, index: Tensor) -> None:
        """See ``StackedOptimizer``."""
        for name, values in self.exact.items():
            self.set(name, values[index])
        self.state = {name: values[index] for name, values in self.state.items()}
        if isinstance(self.steps, Tensor):
            self.steps = self.steps[index]
        self.groups = [self.groups[i] for i in index.tolist()]


def is_elementwise(make: Make) -> bool:
    """Whether an optimizer updates each number by its own gradient and history, and needs no more than gradients.

    Tried: five steps of three members, each alone with a weight and a bias, and as the rows of a matrix.
    """
    generator = torch.Generator().manual_seed(0)
    values, *gradients = torch.randn(6, 3, 9, generator=generator, dtype=torch.float64)
    matrix = nn.Parameter(values.clone())
    members = [[nn.Parameter(row[:6].view(2, 3).clone()), nn.Parameter(row[6:].clone())] for row in values]
    try:
        with torch.no_grad():
            _try(make, matrix, members, gradients)
    except Exception:  # whatever code that nobody here knows may raise
        return False
    rows = torch.stack([torch.cat([part.detach().flatten() for part in parts]) for parts in members])
    return torch.allclose(matrix, rows, rtol=1e-9, atol=1e-12)


def _try(make: Make, matrix: nn.Parameter, members: list[list[nn.Parameter]], gradients: list[Tensor]) -> None:
    together, alone = make([matrix]), [make(parts) for parts in members]
    for gradient in gradients:
        matrix.grad = gradient.clone()
        bare_step(together)(together)
        for (weight, bias), row, one in zip(members, gradient, alone, strict=True):
            weight.grad, bias.grad = row[:6].view(2, 3).clone(), row[6:].clone()
            bare_step(one)(one)


def own_rows(rows: Values, group: Mapping[str, Any]) -> Values:
    """Of what a stack keeps for each parameter, what torch keeps for a member with these settings: a member without
    momentum has no buffer of it, though others may."""
    return {name: part for name, part in rows.items() if name != "momentum_buffer" or group.get("momentum")}


class Resting:
    """Lets members without a batch in a step rest: what an update does to them is undone.

    Args:
        optimizer: of all members.
        matrix: their weights.
    """

    def __init__(self, optimizer: Differing, matrix: Matrix) -> None:
        self._optimizer, self._matrix = optimizer, matrix

    def step(self, active: Tensor) -> None:
        """One step of those that are active, (members,) booleans."""
        optimizer = self._optimizer
        if not isinstance(optimizer.steps, Tensor):
            shape = (len(active), 1)
            optimizer.steps = torch.full(shape, float(optimizer.steps), dtype=torch.float64, device=active.device)
        resting = (~active).nonzero()[:, 0]
        before = [(part, part[resting]) for part in (self._matrix.values, optimizer.steps, *optimizer.state.values())]
        steps = optimizer.steps
        optimizer.step()
        for part, rows in before:
            if part is steps:
                optimizer.steps[resting] = rows
            else:
                part[resting] = rows


def kind_of(make: Make) -> type[Optimizer]:
    """The class behind a constructor with arguments bound."""
    found: Any = make
    while hasattr(found, "func"):
        found = found.func
    return found
