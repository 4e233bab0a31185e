"""Chains of layers as one stack, however deep and wide each of them is.

A chain is nothing but ``nn.Linear`` layers with element-wise activations and dropout between them. Narrower members
are padded with zeros, and a layer is computed for those that have it: hidden layers are counted from the input, and the
last ``nn.Linear`` is everybody's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from src.training.blocks import Block, Signature, chain, ends, plain, signature
from src.training.forms import ROWS, compare
from src.training.members import Matrix, linear
from src.training.noise import Noise
from src.training.padding import named, own_keys, padded, union
from src.training.stack import Alone


class _Own(NamedTuple):
    """What a layer of one member is."""

    width: int
    biased: bool
    kind: Signature  # of its activation
    rate: float

    @classmethod
    def of(cls, block: Block) -> "_Own":
        linear = block.linear
        return cls(linear.out_features, linear.bias is not None, signature(block.activation), block.dropout)


@dataclass(frozen=True)
class _Hidden:
    """A hidden layer of the first members, as they are sorted by depth."""

    holders: int
    widths: list[int]  # each holder's own
    biased: bool
    runs: list[tuple[int, nn.Module | None]]  # of neighbours with one activation: how many, and which
    shuffle: tuple[Tensor, Tensor] | None  # brings members of one activation together, and back
    rates: list[float]


class Chains:
    """Chains with inputs of one width and outputs of one width, a row of a matrix each.

    The matrix (members, columns) has room for the widest of each layer. What a member lacks is zero there, and stays
    zero under every optimizer that goes entry by entry: its gradient is zero after ``mend``. Members that come sorted
    by depth, the deepest first, are computed in slices; in any other order their weights are gathered first.
    Whether ``net`` is training decides on dropout.

    Args:
        nets: chains, one for each member, as they start; a module may stand for several members that start alike.
        seeds: decide their dropout masks.

    Raises:
        Alone: a net is no chain, or the widths of inputs or outputs differ.
    """

    def __init__(self, nets: Sequence[nn.Module], seeds: Sequence[int]) -> None:
        places = [id(net) for net in nets]  # of a net that stands for several, its parts are made once
        chains = {id(net): blocks for net in nets if (blocks := chain(net))}
        if not chains.keys() >= set(places):
            raise Alone("its net is no chain of linear layers")
        met = {ends(blocks) for blocks in chains.values()}
        if len(met) > 1:
            raise Alone(f"its stack needs one width of inputs and one of outputs, found {sorted(map(str, met))}")
        self.size, self.noise = len(nets), Noise(seeds)
        self._activations: dict[Signature, nn.Module] = {}
        for block in (block for blocks in chains.values() for block in blocks):
            if block.activation is not None:
                self._activations.setdefault(signature(block.activation), plain(block.activation))
        self.net = nn.ModuleList(self._activations.values()).train(nets[0].training)
        own = {place: [_Own.of(block) for block in blocks] for place, blocks in chains.items()}
        self._layers = [own[place] for place in places]
        self.noisy = any(layer.rate for layers in own.values() for layer in layers)
        parts = {place: named(blocks) for place, blocks in chains.items()}
        self._shapes = union(list(parts.values()))
        keys = {id(net): own_keys(net, parts[id(net)]) for net in nets}
        self._keys = [keys[place] for place in places]
        self._plan(next(nets[0].parameters()).device)
        whole = {place: padded(each, self._shapes) for place, each in parts.items()}
        self.matrix = Matrix([whole[place] for place in places], self._holders)
        # Where it is needed: (members, columns), 1 for an entry that a member has.
        there = {place: padded(each, self._shapes, fill=1) for place, each in parts.items()} if self._astray else {}
        self._there = Matrix([there[place] for place in places]).values if there else self.matrix.values[:, :0]

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (members, rows, outputs) of features (rows, features) or (members, rows, features)."""
        values = features if features.dim() == 3 else features.expand(self.size, *features.shape)
        if self._order is not None and features.dim() == 3:
            values = values.index_select(0, self._order)
        ended = []  # (members, rows, width): what members without further hidden layers hand to the output
        for level, layer in enumerate(self._hidden):
            if layer.holders < len(values):
                values, rest = values.split([layer.holders, len(values) - layer.holders])
                ended.append(rest)
            bias = self._leaf(f"bias{level}", layer.holders) if layer.biased else None
            values = _activate(linear(values, self._leaf(f"weight{level}", layer.holders), bias), layer)
            if self.net.training and any(layer.rates):
                values = values * self._mask(values, layer)
        weight = self._leaf("weight", self.size)
        # To the widest last hidden layer; less than nothing is added where only longer chains are wider.
        missing = [weight.shape[2] - part.shape[2] for part in [*ended, values]]
        ended = [pad(p, (0, more)) if more else p for p, more in zip([*ended, values], missing, strict=True)]
        values = ended[0] if len(ended) == 1 else torch.cat(ended[::-1])
        found = linear(values, weight, self._leaf("bias", self.size) if "bias" in self._shapes else None)
        return found if self._back is None else found.index_select(0, self._back)

    def mend(self) -> None:
        """Clears the gradient of entries that members do not have: after each backward, before anything reads it."""
        if self._astray:
            self.matrix.gradient.mul_(self._there)

    def rows(self) -> Tensor:
        """The members' weights (members, columns), as they stand and not copied."""
        return self.matrix.values

    def line(self) -> Tensor:
        """See ``Stack``."""
        return self.matrix.values.clone()

    def buffers(self) -> dict[str, Tensor]:
        """Nothing: chains hold weights only."""
        return {}

    def state(self, row: Tensor, buffers: dict[str, Tensor], member: int = 0) -> dict[str, Tensor]:
        """A row (columns,) as the ``state_dict`` of the member's own net; for arguments see ``unflat``."""
        return self.unflat(row, member)

    def unflat(self, row: Tensor, member: int) -> dict[str, Tensor]:
        """A row (columns,), weights or what an optimizer keeps beside them, by parameter of the member's own net.

        ``member`` is its place when the stack was made, whoever was kept since.
        """
        parts = self.matrix.unflat(row)  # by column, padded
        return {name: parts[key][tuple(map(slice, shape))].clone() for name, (key, shape) in self._keys[member].items()}

    def to(self, device: torch.device) -> None:
        """Moves all members."""
        if self.matrix.values.device != device:
            self._replace(self.matrix.values.to(device), self._there.to(device))

    def keep(self, index: Tensor) -> None:
        """Keeps only these members, with all columns."""
        self.size = len(index)
        self.noise.keep(index.tolist())
        self._layers = [self._layers[place] for place in index.tolist()]
        self._replace(self.matrix.values[index], self._there[index])

    def _replace(self, values: Tensor, there: Tensor) -> None:
        self._plan(values.device)
        self.matrix.leaves.clear()  # a graph of an earlier forward, while it lives, holds leaves to their old shapes
        self.matrix.replace(values, self._holders)
        self._there = there

    def _plan(self, device: torch.device) -> None:
        """Decides what a forward computes for whom: in the order of depths, and of equal ones as they come."""
        self._members = order = sorted(range(self.size), key=lambda place: -len(self._layers[place]))
        self._order = None if order == list(range(self.size)) else torch.tensor(order, device=device)
        self._back = None if self._order is None else self._order.argsort()
        self._hidden, self._holders = list[_Hidden](), dict[str, int]()
        for level in range(sum(name.startswith("weight") for name in self._shapes) - 1):
            holders = [self._layers[place][level] for place in order if len(self._layers[place]) - 1 > level]
            if holders:
                self._hidden.append(self._level(holders, device))
            if self._order is None:
                self._holders |= {f"weight{level}": len(holders), f"bias{level}": len(holders)}
        self._astray = any(self._goes_astray(layers) for layers in self._layers)

    def _level(self, holders: Sequence[_Own], device: torch.device) -> _Hidden:
        kinds = [own.kind for own in holders]
        runs, shuffle = [(len(list(run)), kind) for kind, run in groupby(kinds)], None
        if len(runs) > 2 * len(set(kinds)):  # a gather there and back costs less than many small calls
            known = list(dict.fromkeys(kinds))
            together = torch.tensor([known.index(kind) for kind in kinds], device=device).argsort(stable=True)
            runs, shuffle = [(kinds.count(kind), kind) for kind in known], (together, together.argsort())
        widths, rates = [own.width for own in holders], [own.rate for own in holders]
        biased, made = (
            any(own.biased for own in holders),
            [(count, self._activations.get(kind)) for count, kind in runs],
        )
        return _Hidden(len(holders), widths, biased, made, shuffle, rates)

    def _goes_astray(self, layers: Sequence[_Own]) -> bool:
        """Whether a backward reaches entries that a member does not have.

        A padded hidden value is the activation of zero. Where that is zero, so is the gradient of the padded weights on
        both sides of it; what is left are biases.
        """
        for level, own in zip([*range(len(layers) - 1), ""], layers, strict=True):
            if not own.biased and f"bias{level}" in self._shapes:
                return True
            padded = own.kind in self._activations and own.width < self._shapes[f"weight{level}"][0]
            if padded and self._activations[own.kind](torch.zeros(33)).any():  # by vector instructions, and one by one
                return True
        return False

    def _leaf(self, name: str, holders: int) -> Tensor:
        leaf = self.matrix.leaves[name]
        return leaf if self._order is None else leaf.index_select(0, self._order[:holders])

    def _mask(self, values: Tensor, layer: _Hidden) -> Tensor:
        """Dropout factors (holders, rows, width), drawn by each member as its net draws them alone."""
        mask = torch.ones_like(values, memory_format=torch.contiguous_format)
        generators = self.noise.generators(values.device)
        for part, member, width, rate in zip(mask, self._members, layer.widths, layer.rates, strict=False):
            rows = len(part) if self.noise.rows is None else self.noise.rows[member]
            if rate and rows:
                # Contiguous, as alone.
                own = part[:rows] if width == part.shape[1] else part.new_empty(rows, width)
                own.bernoulli_(1 - rate, generator=generators[member]).div_(1 - rate)
                if width != part.shape[1]:
                    part[:rows, :width] = own
        return mask


def chained(nets: Sequence[nn.Module], seeds: Sequence[int], features: Tensor) -> Chains:
    """Chains as a stack, compared with each net alone on a batch.

    Args:
        nets: chains; a module may stand for several members that start alike.
        seeds: decide their dropout masks.
        features: a batch (rows, features).

    Raises:
        Alone: they have no stack, or members come to other numbers in it.
    """
    stack = Chains(nets, seeds)
    compare(stack, nets, seeds, features[:ROWS])
    return stack


def _activate(values: Tensor, layer: _Hidden) -> Tensor:
    if len(layer.runs) == 1:
        activation = layer.runs[0][1]
        return values if activation is None else activation(values)
    if layer.shuffle is not None:
        values = values.index_select(0, layer.shuffle[0])
    parts = values.split([count for count, _ in layer.runs])
    values = torch.cat([part if run[1] is None else run[1](part) for part, run in zip(parts, layer.runs, strict=True)])
    return values if layer.shuffle is None else values.index_select(0, layer.shuffle[1])
