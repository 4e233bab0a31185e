"""Chains of layers as one stack, however deep and wide each of them is.

Narrower members are padded with zeros, and a layer is computed for those that have it. A parameter goes by ``weight``
or ``bias`` and the number of its hidden layer, counted from the input; the output's have no number, for they are the
last of every chain, whatever its depth.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Size, Tensor, nn
from torch.nn.functional import pad

from src.training.chains import Block, chain, ends, settings
from src.training.compare import ROWS, compare
from src.training.matrix import Matrix, Parts
from src.training.member_layers import linear
from src.training.stack import ROW, Alone, Stack


def padded_stack(nets: Sequence[nn.Module], seeds: Sequence[int], features: Tensor) -> "PaddedStack":
    """Chains as a stack, compared with each net alone on a batch.

    Args:
        nets: the deepest first, see ``chains.in_order``; a module may stand for several members that start alike.
        seeds: decide their dropout masks.
        features: a batch (rows, features).

    Raises:
        Alone: they have no stack, or members come to other numbers in it.
    """
    stack = PaddedStack(nets, seeds)
    compare(stack, nets, seeds, features[:ROWS])
    return stack


class PaddedStack(Stack):
    """Chains with inputs of one width and outputs of one width, a row of a matrix each.

    The matrix (members, columns) has room for the widest of each layer. What a member lacks is zero there, and stays
    zero under every optimizer that goes entry by entry: its gradient is zero after ``mend``.

    Args:
        nets: chains, one for each member, as they start, the deepest first.
        seeds: decide their dropout masks.

    Raises:
        Alone: a net is no chain, or the widths of inputs or outputs differ.
    """

    def __init__(self, nets: Sequence[nn.Module], seeds: Sequence[int]) -> None:
        super().__init__(seeds)
        distinct = {id(net): net for net in nets}
        known = {key: blocks for key, net in distinct.items() if (blocks := chain(net))}
        if len(known) < len(distinct):
            raise Alone("its net is no chain of linear layers")
        if len(met := {ends(blocks) for blocks in known.values()}) > 1:
            raise Alone(f"its stack needs one width of inputs and one of outputs, found {sorted(map(str, met))}")
        kinds = {key: [settings(block.activation) for block in blocks[:-1]] for key, blocks in known.items()}
        self._kinds = [kinds[id(net)] for net in nets]  # of each hidden layer's activation
        parts = {key: _named(blocks) for key, blocks in known.items()}
        self._shapes = _room(list(parts.values()))
        own = {key: _own_keys(net, parts[key]) for key, net in distinct.items()}
        self._own = [own[id(net)] for net in nets]
        self._activations = {
            kind: _not_in_place(block.activation)
            for key, blocks in known.items()
            for kind, block in zip(kinds[key], blocks, strict=False)
        }
        self._dropouts = []
        for level in range(len(self._kinds[0])):
            held = [blocks[level] if len(blocks) > level + 1 else None for blocks in (known[id(net)] for net in nets)]
            rates = [block.dropout if block else 0.0 for block in held]
            widths = [block.linear.out_features if block else 0 for block in held]
            self._dropouts.append(self.noise.layer(rates, stacked=True, widths=widths))
        self.noisy = any(any(layer.rates) for layer in self._dropouts)
        self.net = nn.ModuleList([*self._activations.values(), *self._dropouts]).train(nets[0].training)
        self._plan()
        self.matrix = Matrix([parts[id(net)] for net in nets], self._shapes, self._holders)
        if not all(_fills(each, self._shapes) for each in parts.values()):
            ones = {k: self.matrix.row({n: torch.ones_like(p) for n, p in each.items()}) for k, each in parts.items()}
            self._there = torch.stack([ones[id(net)] for net in nets])

    def forward(self, features: Tensor) -> Tensor:
        """See ``Stack``."""
        values = features if features.dim() == 3 else features.expand(self.size, *features.shape)
        leaves = self.matrix.leaves
        ended = []  # (members, rows, width): what members without further hidden layers hand to the output
        for level, (runs, dropout) in enumerate(zip(self._runs, self._dropouts, strict=False)):
            holders = self._holders[f"weight{level}"]
            if holders < len(values):
                values, rest = values.split([holders, len(values) - holders])  # two slices would cost two backwards
                ended.append(rest)
            values = linear(values, leaves[f"weight{level}"], leaves.get(f"bias{level}"))
            if len(runs) == 1:
                values = runs[0][1](values)
            else:
                parts = values.split([count for count, _ in runs])
                values = torch.cat([activation(part) for (_, activation), part in zip(runs, parts, strict=True)])
            values = dropout(values)
        # To the widest last hidden layer; less than nothing is added where only longer chains are wider.
        width = leaves["weight"].shape[2]
        ended = [part if part.shape[2] == width else pad(part, (0, width - part.shape[2])) for part in (*ended, values)]
        return linear(torch.cat(ended[::-1]) if len(ended) > 1 else ended[0], leaves["weight"], leaves.get("bias"))

    def unflat(self, row: Tensor, member: int) -> dict[str, Tensor]:
        """See ``Stack``."""
        parts = self.matrix.unflat(row)  # by column, padded
        return {name: parts[key][tuple(map(slice, shape))].clone() for name, (key, shape) in self._own[member].items()}

    def state(self, held: Mapping[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """See ``Stack``; chains hold weights only."""
        return self.unflat(held[ROW], member)

    def pack(self, parts: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
        """See ``Stack``; chains hold weights only."""
        return {ROW: self.matrix.row({key: parts[n] for n, (key, _) in self._own[member].items() if n in parts})}

    def keep(self, index: Tensor) -> None:
        """See ``Stack``."""
        self._kinds = [self._kinds[place] for place in index.tolist()]
        super().keep(index)

    def _change(self, how: Callable[[Tensor], Tensor]) -> None:
        self._plan()
        self.matrix.leaves.clear()  # a graph of an earlier forward, while it lives, holds leaves to their old shapes
        self.matrix.replace(how(self.matrix.values), self._holders)
        self._there = None if self._there is None else how(self._there)

    def _plan(self) -> None:
        """Decides what a forward computes for whom: by hidden layer, neighbours of one activation at once."""
        self._runs: list[list[tuple[int, nn.Module]]] = []
        self._holders: dict[str, int] = {}
        for level in range(len(self._kinds[0])):
            kinds = [each[level] for each in self._kinds if len(each) > level]
            self._runs.append([(len(list(run)), self._activations[kind]) for kind, run in groupby(kinds)])
            self._holders |= {f"weight{level}": len(kinds), f"bias{level}": len(kinds)}


def _not_in_place(activation: nn.Module) -> nn.Module:
    own = copy.copy(activation)
    if "inplace" in vars(own):
        vars(own)["inplace"] = False
    return own


def _named(blocks: Sequence[Block]) -> dict[str, nn.Parameter]:
    """A chain's parameters by where they lie."""
    names = [*map(str, range(len(blocks) - 1)), ""]
    return {
        f"{kind}{name}": part
        for name, block in zip(names, blocks, strict=True)
        for kind, part in block.linear.named_parameters()
    }


def _room(chains: Sequence[Parts]) -> dict[str, Size]:
    """By name the shape that has room for everybody's, in the order of a forward."""
    depth = max(sum(name.startswith("weight") for name in parts) for parts in chains) - 1
    names = [f"{kind}{level}" for level in [*range(depth), ""] for kind in ("weight", "bias")]
    found = {name: [parts[name].shape for parts in chains if name in parts] for name in names}
    shapes = {name: Size(map(max, zip(*each, strict=True))) for name, each in found.items() if each}
    for level in range(1, depth):
        # A layer sees the whole one before it, the widest of which may be somebody's last.
        shapes[f"weight{level}"] = Size((shapes[f"weight{level}"][0], shapes[f"weight{level - 1}"][0]))
    for name in (name for name in shapes if name.startswith("bias")):
        shapes[name] = shapes[name.replace("bias", "weight")][:1]  # the widest may have none
    return shapes


def _fills(parts: Parts, shapes: Mapping[str, Size]) -> bool:
    """Whether a chain fills the room of the layers that it has."""
    return all(
        name in parts and parts[name].shape == shape
        for name, shape in shapes.items()
        if name.replace("bias", "weight") in parts
    )


def _own_keys(net: nn.Module, parts: Parts) -> dict[str, tuple[str, Size]]:
    """Of each name in a net's ``state_dict``, in its order: the columns' name, and the shape there."""
    names = {id(part): name for name, part in parts.items()}
    return {name: (names[id(part)], part.shape) for name, part in net.state_dict(keep_vars=True).items()}
