"""Nets of one form as a stack: layers with a member axis where that is right, else ``torch.func.vmap``."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from src.errors import first_line
from src.models.embedding import Uniform
from src.training.compare import ROWS, compare, perturb, refuse_surprises
from src.training.dropout import SeededUniform
from src.training.matrix import Matrix
from src.training.member_layers import swap_leaf
from src.training.stack import ROW, Alone, Stack, first_names, trained, untrained


def equal_stack(nets: Sequence[nn.Module], seeds: Sequence[int], features: Tensor) -> "EqualStack":
    """Nets of one form as a stack.

    Which of its two ways is right is seen on a batch: on nets with weights of their own first, for members may start
    equal, then on the nets themselves.

    Args:
        nets: a module may stand for several members that start alike.
        seeds: decide their dropout masks.
        features: a batch (rows, features).

    Raises:
        Alone: neither gives what each net gives alone.
    """
    features = features[:ROWS]
    generator = torch.Generator().manual_seed(0)
    probes = [copy.deepcopy(nets[0]) for _ in range(3)]
    for probe in probes:
        perturb(probe, generator)
    refuse_surprises(probes[0], features)
    for mapped in (False, True):
        try:
            tried = EqualStack(probes, range(3), mapped)
            compare(tried, probes, range(3), features)
            tried.net.eval()
            compare(tried, [copy.deepcopy(probe).eval() for probe in probes], range(3), features)
            stack = EqualStack(nets, seeds, mapped)
            compare(stack, nets, seeds, features)
            return stack
        except Exception as error:  # whatever code that nobody here knows may raise
            reason = first_line(error)
    raise Alone(f"its net has no form with a member axis ({reason})")


class EqualStack(Stack):
    """Nets of one form, a row of a matrix each.

    Args:
        nets: one for each member, as they start.
        seeds: decide their dropout masks.
        mapped: use ``torch.func.vmap`` instead of layers with a member axis.

    Raises:
        Alone: a layer has no form with a member axis.
    """

    def __init__(self, nets: Sequence[nn.Module], seeds: Sequence[int], mapped: bool) -> None:
        super().__init__(seeds)
        self._keys = first_names(nets[0])
        rates = [{n: m.p for n, m in net.named_modules() if type(m) is nn.Dropout} for net in nets]
        self.noisy = any(any(each.values()) for each in rates) or any(type(m) is Uniform for m in nets[0].modules())
        weights = {id(net): trained(net) for net in nets}
        shapes = {name: part.shape for name, part in trained(nets[0]).items()}
        self.matrix = Matrix([weights[id(net)] for net in nets], shapes)
        fixed = [untrained(net) for net in nets]
        for name, part in fixed[0].items():
            whole = torch.stack([each[name].detach() for each in fixed])
            self._buffers[name] = nn.Parameter(whole, False) if isinstance(part, nn.Parameter) else whole
        self.net, self.mapped = copy.deepcopy(nets[0]), mapped
        if not mapped:
            self.net = self._swapped(self.net, "", rates, {})
        elif self.noisy:
            raise Alone("its dropout has no form with a member axis")

    def forward(self, features: Tensor) -> Tensor:
        """See ``Stack``."""
        if features.dim() == 2:
            features = features.expand(self.size, *features.shape)
        if not self.mapped:
            return self.net(features)
        call = torch.func.vmap(lambda own, rows: functional_call(self.net, own, (rows,)))
        return call({**self.matrix.leaves, **self._buffers}, features)

    def unflat(self, row: Tensor, member: int) -> dict[str, Tensor]:
        """See ``Stack``."""
        return self.matrix.unflat(row)

    def state(self, held: Mapping[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """See ``Stack``; the same names for all members."""
        parts = {name: part.clone() for name, part in held.items()} | self.matrix.unflat(held[ROW])
        return {name: parts[first] for name, first in self._keys.items()}

    def pack(self, parts: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
        """See ``Stack``."""
        row = self.matrix.row({name: parts[name] for name in self.matrix.shapes if name in parts})
        return {ROW: row} | {name: parts[name] for name in self._buffers if name in parts}

    def _swapped(
        self, module: nn.Module, path: str, rates: list[dict[str, float]], done: dict[int, nn.Module]
    ) -> nn.Module:
        """The module with a member axis; a layer that occurs twice stays one layer."""
        if id(module) in done:
            return done[id(module)]
        own: dict[str, Any] = {}
        for name, part in module.named_parameters(recurse=False):
            key = self._keys[f"{path}{name}"]
            own[name] = self.matrix.leaves[key] if part.requires_grad else self._buffers[key]
        statistics = {name: self._buffers[f"{path}{name}"] for name, _ in module.named_buffers(recurse=False)}
        # Not named_children(), which leaves out who occurs twice.
        children = [(name, child) for name, child in module._modules.items() if child is not None]
        if type(module) is nn.Dropout:
            fades = getattr(module, "fades", False)
            found: nn.Module | None = self.noise.layer([each[path[:-1]] for each in rates], stacked=True, fades=fades)
        elif type(module) is Uniform:
            found = SeededUniform(self.noise, stacked=True)
        else:
            found = None if children else swap_leaf(module, own, statistics)
        if found is None:
            # Code of its own: right where it broadcasts over a leading axis, which the comparison shows.
            found = module
            module._parameters.update(own)
            module._buffers.update(statistics)
            for name, child in children:
                module._modules[name] = self._swapped(child, f"{path}{name}.", rates, done)
        done[id(module)] = found
        return found
