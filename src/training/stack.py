"""One net, or many behind one forward: what training and every optimizer see."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from src.training.dropout import Noise, seed_dropout
from src.training.matrix import Matrix

ROW = ""  # among what a member holds, which else are buffers by name, the row of its weights


class Alone(Exception):
    """Nets cannot share a forward; the message says why."""


class Lone:
    """One net, as it is.

    Args:
        net: any; its dropout layers are replaced by seeded ones.
        seed: decides its dropout masks.
    """

    def __init__(self, net: nn.Module, seed: int) -> None:
        self.net = net
        self.noise = Noise([seed])
        self.noisy = seed_dropout(net, self.noise)
        self.forward: Callable[[Tensor], Tensor] = net  # (rows, features) to (rows, outputs)
        self._keys = first_names(net)
        self._trained = trained(net)

    def line(self) -> list[list[float]]:
        """The numbers of a straight line, (1, parameters): to read them costs less than a tensor of them."""
        return [[part.item() for part in self._trained.values()]]

    def buffers(self) -> dict[str, Tensor]:
        """What else it holds, with a member axis of one, copies."""
        return {name: part.detach()[None].clone() for name, part in untrained(self.net).items()}

    def held(self) -> dict[str, Tensor]:
        """Its row and buffers with a member axis of one, copies."""
        return self.pack(self._trained)

    def state(self, held: Mapping[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """A row (parameters,) and buffers as the net's ``state_dict``; there is one member only."""
        rows = held[ROW].split([part.numel() for part in self._trained.values()])
        own = zip(self._trained.items(), rows, strict=True)
        parts = {**held, **{name: row.view(part.shape).clone() for (name, part), row in own}}
        return {name: parts[first] for name, first in self._keys.items()}

    def pack(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The reverse: what is held, copies; what the ``state_dict`` has not is the net's own."""
        row = torch.cat([state[name].detach().flatten() for name in self._trained])[None]
        return {ROW: row} | {name: state.get(name, part)[None].clone() for name, part in untrained(self.net).items()}


class Stack(ABC):
    """Nets behind one forward, a row of a matrix each. Whether ``net`` is training decides as it does alone.

    Args:
        seeds: decide members' dropout masks.
    """

    net: nn.Module
    matrix: Matrix
    noisy: bool  # whether there is any dropout

    def __init__(self, seeds: Sequence[int]) -> None:
        self.size, self.noise = len(seeds), Noise(seeds)
        self._buffers: dict[str, Tensor] = {}
        self._there: Tensor | None = None  # (members, columns), 1 for an entry that a member has; None where all are

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Predictions (members, rows, outputs) of features (rows, features) or (members, rows, features)."""

    @abstractmethod
    def unflat(self, row: Tensor, member: int) -> dict[str, Tensor]:
        """A row (columns,), weights or what an optimizer keeps beside them, by parameter of the member's own net.

        ``member`` is its place when the stack was made, whoever was kept since.
        """

    @abstractmethod
    def state(self, held: Mapping[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """A row (columns,) and buffers as the ``state_dict`` of the member's own net; for ``member`` see ``unflat``."""

    @abstractmethod
    def pack(self, parts: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
        """The reverse of ``state`` and of ``unflat``: a row (columns,) and the buffers that are among the parts."""

    def mend(self) -> None:
        """Clears the gradient of what members do not have: after each backward, before anything reads it."""
        if self._there is not None:
            self.matrix.gradient.mul_(self._there)

    def held(self) -> dict[str, Tensor]:
        """The members' rows and buffers, each with a member axis; not copied."""
        return {ROW: self.matrix.values} | self._buffers

    def line(self) -> Tensor:
        """The numbers of straight lines (members, parameters), a copy."""
        return self.matrix.values.clone()

    def buffers(self) -> dict[str, Tensor]:
        """What else they hold, each with a member axis; not copied."""
        return self._buffers

    def to(self, device: torch.device) -> None:
        """Moves all members."""
        if self.matrix.values.device != device:
            self._change(lambda part: part.to(device))
        self.net.to(device)  # what is not in the matrix or the buffers

    def keep(self, index: Tensor) -> None:
        """Keeps only these members, in an order that they were in."""
        self.size = len(index)
        self.noise.keep(index.tolist())
        self._change(lambda part: part[index])

    def _change(self, how: Callable[[Tensor], Tensor]) -> None:
        self.matrix.replace(how(self.matrix.values))
        for part in self._buffers.values():
            part.data = how(part.data)  # layers hold the same tensors


def trained(net: nn.Module) -> dict[str, nn.Parameter]:
    """What gradients change."""
    return {name: part for name, part in net.named_parameters() if part.requires_grad}


def untrained(net: nn.Module) -> dict[str, Tensor]:
    """Buffers, and parameters that are frozen."""
    return dict(net.named_buffers()) | {name: part for name, part in net.named_parameters() if not part.requires_grad}


def first_names(net: nn.Module) -> dict[str, str]:
    """Every name in a net's ``state_dict``, in its order, with the first name of the same tensor."""
    named: dict[str, Any] = net.state_dict(keep_vars=True)
    firsts = {id(part): name for name, part in reversed(named.items())}
    return {name: firsts[id(part)] for name, part in named.items()}
