"""One net, or many of one form behind one forward: what both ways of training and every optimizer see."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from src.training.members import Matrix, swap_leaf
from src.training.noise import Noise, seed_dropout


class Alone(Exception):
    """Nets cannot share a forward; the message says why."""


class Lone:
    """One net, as it is.

    Args:
        net: any; its dropout layers are replaced by seeded ones.
        seed: decides its dropout masks.
    """

    size = 1

    def __init__(self, net: nn.Module, seed: int) -> None:
        self.net = net
        self.noise = Noise([seed])
        self.noisy = seed_dropout(net, self.noise)
        self.forward: Callable[[Tensor], Tensor] = net  # (rows, features) to (rows, outputs)
        self._keys = _keys(net)
        self._trained = [part for part in net.parameters() if part.requires_grad]

    def rows(self) -> Tensor:
        """Its weights as one row (1, parameters), a copy."""
        return torch.cat([part.detach().flatten() for part in self._trained])[None]

    def line(self) -> list[list[float]]:
        """The numbers of a straight line, (1, parameters): to read them costs less than a tensor of them."""
        return [[part.item() for part in self._trained]]

    def buffers(self) -> dict[str, Tensor]:
        """What else it holds, with a member axis of one, copies."""
        return {name: part.detach()[None].clone() for name, part in _fixed(self.net).items()}

    def state(self, row: Tensor, buffers: dict[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """A row (parameters,) and buffers as the net's ``state_dict``; there is one member only."""
        return _state(self._keys, _unflat(self.net, row) | buffers)

    def pack(self, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The reverse: a net's ``state_dict`` as a row and buffers with a member axis of one, copies."""
        trained = [state[name].flatten() for name, part in self.net.named_parameters() if part.requires_grad]
        fixed = {name: state.get(name, part)[None].clone() for name, part in _fixed(self.net).items()}
        return torch.cat(trained)[None], fixed

    def to(self, device: torch.device) -> None:
        """Nothing: the Trainer moves it."""


class Stack:
    """Nets of one form, a row of a matrix each.

    Args:
        nets: one for each member, as they start.
        seeds: decide their dropout masks.
        mapped: use ``torch.func.vmap`` instead of layers with a member axis.

    Raises:
        Alone: a layer has no form with a member axis.
    """

    def __init__(self, nets: Sequence[nn.Module], seeds: Sequence[int], mapped: bool) -> None:
        self.size = len(nets)
        self.noise = Noise(seeds)
        self._keys = _keys(nets[0])
        rates = [{n: m.p for n, m in net.named_modules() if type(m) is nn.Dropout} for net in nets]
        self.noisy = any(any(each.values()) for each in rates)
        fixed = [_fixed(net) for net in nets]
        self.matrix = Matrix(list(nets))
        self._buffers = {name: torch.stack([each[name].detach() for each in fixed]) for name in fixed[0]}
        self.net = copy.deepcopy(nets[0])
        self._mapped = mapped
        if mapped:
            if self.noisy:
                raise Alone("its dropout has no form with a member axis")
        else:
            self.net = self._swapped(self.net, "", rates, {})

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (members, rows, outputs) of features (rows, features) or (members, rows, features)."""
        if features.dim() == 2:
            features = features.expand(self.size, *features.shape)
        if not self._mapped:
            return self.net(features)
        call = torch.func.vmap(lambda own, rows: functional_call(self.net, own, (rows,)))
        return call({**self.matrix.leaves, **self._buffers}, features)

    def mend(self) -> None:
        """Nothing: every member has every parameter. See ``Chains.mend``."""

    def rows(self) -> Tensor:
        """The members' weights (members, parameters), as they stand and not copied."""
        return self.matrix.values

    def line(self) -> Tensor:
        """The numbers of straight lines (members, parameters), a copy."""
        return self.matrix.values.clone()

    def buffers(self) -> dict[str, Tensor]:
        """What else they hold, each with a member axis; not copied."""
        return self._buffers

    def state(self, row: Tensor, buffers: dict[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """A member's row (parameters,) and buffers as its net's ``state_dict``, the same names for all of them."""
        return _state(self._keys, self.unflat(row, member) | {name: part.clone() for name, part in buffers.items()})

    def unflat(self, row: Tensor, member: int) -> dict[str, Tensor]:
        """A row (parameters,) of a member, weights or what an optimizer keeps beside them, by parameter."""
        return self.matrix.unflat(row)

    def to(self, device: torch.device) -> None:
        """Moves all members."""
        if self.matrix.values.device != device:
            self.matrix.replace(self.matrix.values.to(device))
            for part in self._buffers.values():
                part.data = part.data.to(device)

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        self.size = len(index)
        self.matrix.replace(self.matrix.values[index])
        for part in self._buffers.values():
            part.data = part.data[index]  # layers hold the same tensors
        self.noise.keep(index.tolist())

    def _swapped(
        self, module: nn.Module, path: str, rates: list[dict[str, float]], done: dict[int, nn.Module]
    ) -> nn.Module:
        """The module with a member axis; a layer that occurs twice stays one layer."""
        if id(module) in done:
            return done[id(module)]
        own: dict[str, Any] = {}
        for name, part in module.named_parameters(recurse=False):
            key = self._keys[f"{path}{name}"]
            own[name] = self.matrix.leaves[key] if part.requires_grad else nn.Parameter(self._buffers[key], False)
        statistics = {name: self._buffers[f"{path}{name}"] for name, _ in module.named_buffers(recurse=False)}
        # Not named_children(), which leaves out who occurs twice.
        children = [(name, child) for name, child in module._modules.items() if child is not None]
        if type(module) is nn.Dropout:
            found: nn.Module | None = self.noise.layer([each[path[:-1]] for each in rates], stacked=True)
        else:
            found = None if children else swap_leaf(module, own, statistics)
        if found is None:
            # Code of its own: right where it broadcasts over a leading axis, which the comparison shows.
            found = module
            for name, leaf in own.items():
                module._parameters[name] = leaf
            module._buffers.update(statistics)
            for name, child in children:
                module._modules[name] = self._swapped(child, f"{path}{name}.", rates, done)
        done[id(module)] = found
        return found


def _fixed(net: nn.Module) -> dict[str, Tensor]:
    """What training does not change by gradients: buffers, and parameters that are frozen."""
    frozen = {name: part.detach() for name, part in net.named_parameters() if not part.requires_grad}
    return dict(net.named_buffers()) | frozen


def _keys(net: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer, in the order of ``state_dict``, with the first name of the same tensor."""
    firsts: dict[int, str] = {}
    parts = [*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)]
    for name, part in parts:
        firsts.setdefault(id(part), name)
    names = {name: firsts[id(part)] for name, part in parts}
    return {name: names[name] for name in net.state_dict()}


def _state(keys: dict[str, str], parts: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: parts[first] for name, first in keys.items()}


def _unflat(net: nn.Module, row: Tensor) -> dict[str, Tensor]:
    trained = {name: part for name, part in net.named_parameters() if part.requires_grad}
    parts = row.split([part.numel() for part in trained.values()])
    return {name: part.view(old.shape).clone() for part, (name, old) in zip(parts, trained.items(), strict=True)}
