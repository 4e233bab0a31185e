"""An optimizer over the matrix of members: torch's own, where they agree in all of its options.

Every row of a matrix (members, parameters) is one member's weights, so an optimizer that goes entry by entry updates
all rows as it would each alone. Where members differ, see ``member_optimizers``.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from src.adapters.torch_scheduler import as_if_stepped
from src.training.matrix import Matrix

Make = Callable[..., Optimizer]  # takes parameters, or parameter groups
Values = dict[str, Tensor]


class StackedOptimizer(ABC):
    """What the engine and the checkpoints of members need.

    Args:
        matrix: the members' weights.
    """

    state: dict[str, Any]  # as torch has it for a parameter; what has a member axis has two dimensions

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix

    @abstractmethod
    def _update(self) -> None:
        """Updates all members from the matrix's gradient, which may be overwritten."""

    @abstractmethod
    def group(self, member: int) -> dict[str, Any]:
        """torch's parameter group of a member as it stands."""

    def step(self, active: Tensor | None = None) -> None:
        """Updates members from the matrix's gradient, which may be overwritten.

        Args:
            active: (members,) booleans; the others have no batch: what the update does to them is undone.
        """
        kept = []
        if active is not None:
            resting = (~active).nonzero()[:, 0]
            kept = [(part, part[resting]) for part in (self._matrix.values, *self._with_members().values())]
        with torch.no_grad():
            self._update()
        for part, rows in kept:
            part[resting] = rows

    def rows(self) -> Values:
        """What is kept for each parameter, (members, parameters) by name; not copied."""
        return {name: part for name, part in self._with_members().items() if name != "step"}

    def shared(self, member: int) -> dict[str, Any]:
        """What a member's state has beside ``rows``."""
        rows, members = self.rows(), self._with_members()
        return {
            name: part[member, 0].clone().cpu() if name in members else copy.deepcopy(part)
            for name, part in self.state.items()
            if name not in rows
        }

    def load(self, rows: Values, shared: Sequence[dict[str, Any]]) -> None:
        """Takes what ``rows`` and, of each member, ``shared`` gave."""
        device = self._matrix.values.device
        self.state |= copy.deepcopy(shared[0]) | {name: part.to(device) for name, part in rows.items()}

    def keep(self, index: Tensor) -> None:
        """Keeps only these members; the matrix has been replaced."""
        self.state |= {name: part[index] for name, part in self._with_members().items()}

    def _with_members(self) -> Values:
        return {name: part for name, part in self.state.items() if isinstance(part, Tensor) and part.dim() == 2}


class Agreeing(StackedOptimizer):
    """torch's own optimizer over the whole matrix.

    Args:
        matrix: the members' weights.
        make: the optimizer's constructor, the same for all.
    """

    def __init__(self, matrix: Matrix, make: Make) -> None:
        super().__init__(matrix)
        self._parameter = nn.Parameter(matrix.values)
        self._parameter.grad = matrix.gradient
        self.torch = make([self._parameter])
        self._bare = bare_step(self.torch)
        self.state = self.torch.state[self._parameter]

    def _update(self) -> None:
        self._bare(self.torch)

    def group(self, member: int) -> dict[str, Any]:
        """See ``StackedOptimizer``."""
        return {key: value for key, value in self.torch.param_groups[0].items() if key != "params"}

    def keep(self, index: Tensor) -> None:
        """See ``StackedOptimizer``."""
        super().keep(index)
        self._parameter.grad = None
        self._parameter.data = self._matrix.values
        self._parameter.grad = self._matrix.gradient


def bare_step(optimizer: Optimizer) -> Callable[[Optimizer], Any]:
    """The optimizer's step as its class defines it, to be called where no gradients are recorded.

    Without torch's wrappers, for profilers and differentiable steps, which cost as much as a small model's update.
    """
    as_if_stepped(optimizer)
    found: Any = type(optimizer).step
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found


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
