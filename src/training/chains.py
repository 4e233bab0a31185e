"""What a chain is: a net that is nothing but linear layers with activations and dropout between them.

And which chains should share a stack. Padding hidden layers to twice their width costs four times the arithmetic, and
a stack more 0.2 to 0.5 ms a step: so there is one for each width, and who would be alone joins a wider one. In ms a
step with AdamW of 64 random MLPs (5 widths of 8 to 128, 1 to 3 layers, 4 activations; 1 thread; 26 · 128 · 512 rows):
one by one 22 · 25 · 38, a stack for each structure 10 · 14 · 24, for each width 5 · 9 · 23, all in one 19 · 23 · 89.
"""

import copy
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from src.training.compare import Surprises, perturb

_WIDER = 2  # with 64 random widths of 8 to 128, 1.5 was as fast and 1.25 slower on few rows
_NO_SETTINGS = {*vars(nn.Module()), "inplace"}  # what every module has, and what changes no number
_tried: dict[Hashable, bool] = {}  # what trying one of many alike has shown


@dataclass(frozen=True)
class Block:
    """A linear layer, and what follows it up to the next.

    Args:
        linear: (rows, in) to (rows, out).
        activation: element-wise.
        dropout: probability of a value being zeroed while training, after the activation.
    """

    linear: nn.Linear
    activation: nn.Module
    dropout: float


def chain(net: nn.Module) -> list[Block] | None:
    """The layers of a net from input to output, the last a bare ``nn.Linear``; None where it is no chain.

    A chain is an ``nn.Linear``, an ``nn.Sequential`` of layers in the order linear, activation, dropout, or a module
    around one such ``nn.Sequential`` whose forward gives the same numbers.
    """
    layers = list(_layers(net))
    linears = [layer for layer in layers if type(layer) is nn.Linear]
    parts = [id(part) for layer in linears for part in layer.parameters() if part.requires_grad]
    # A layer that occurs twice, a frozen one, or numbers of another module: not what a row of a matrix can be.
    if list(net.buffers()) or not parts or [id(part) for part in net.parameters()] != parts:
        return None
    blocks = _blocks(layers)
    return blocks if blocks and _once(_forwards_through, net) else None


def groups(nets: Sequence[nn.Module]) -> list[list[int]]:
    """The places of nets that should share a stack.

    A group has inputs, outputs and widths in common, but that a net without company joins one whose layers are at most
    twice as wide. What is no chain is in no group.
    """
    known = {id(net): chain(net) for net in nets}
    equal: dict[tuple[Hashable, tuple[int, int]], list[int]] = {}
    for place, net in enumerate(nets):
        if blocks := known[id(net)]:
            equal.setdefault((ends(blocks), _widths(blocks)), []).append(place)
    found: dict[tuple[Hashable, tuple[int, int]], list[int]] = {}
    for end, widths in sorted(equal, key=lambda key: key[1], reverse=True):
        places = equal[end, widths]
        hosts = [w for e, w in found if e == end and all(a <= b <= _WIDER * a for a, b in zip(widths, w, strict=True))]
        # A straight line has no hidden layer to pad.
        hosts = hosts or [w for e, w in found if e == end and not any(widths)]
        key = (end, hosts[-1]) if hosts and len(places) == 1 else (end, widths)
        found.setdefault(key, []).extend(places)
    return [sorted(places) for places in sorted(found.values())]


def in_order(nets: Sequence[nn.Module]) -> list[int]:
    """The places of nets as a padded stack needs chains, the deepest first, and wants them, equal activations together.

    What is no chain is left where it is.
    """
    known = {id(net): chain(net) for net in nets}
    chains = [known[id(net)] or [] for net in nets]
    kinds = [str([settings(block.activation) for block in blocks]) for blocks in chains]
    return sorted(range(len(nets)), key=lambda place: (-len(chains[place]), kinds[place]))


def ends(blocks: Sequence[Block]) -> Hashable:
    """What all members of a stack have in common: widths of inputs and outputs, kind of numbers, and device."""
    weight = blocks[0].linear.weight
    return blocks[0].linear.in_features, blocks[-1].linear.out_features, weight.dtype, weight.device


def settings(module: nn.Module) -> Hashable:
    """Equal for modules without parameters that do the same, as far as their attributes tell."""
    own = {name: value for name, value in vars(module).items() if name not in _NO_SETTINGS}
    return type(module), str(module), repr(own)


def _widths(blocks: Sequence[Block]) -> tuple[int, int]:
    """Of the widest hidden layer and of the first: two, for what narrows should not be padded to what widens."""
    hidden = [block.linear.out_features for block in blocks[:-1]] or [0]
    return max(hidden), hidden[0]


def _layers(net: nn.Module) -> Iterator[nn.Module]:
    """The layers in order; a module with code of its own around only one module counts as that."""
    inner = [child for child in net._modules.values() if child is not None]  # not children(): one may occur twice
    if type(net) is not nn.Sequential and len(inner) != 1:
        yield net
    else:
        for child in inner:
            yield from _layers(child)


def _blocks(layers: Sequence[nn.Module]) -> list[Block] | None:
    blocks: list[Block] = []
    for layer in layers:
        last = blocks[-1] if blocks else None
        if type(layer) is nn.Linear:
            blocks.append(Block(layer, nn.Identity(), 0.0))
        elif type(layer) is nn.Identity or (type(layer) is nn.Dropout and not layer.p):
            continue
        elif last is None or last.dropout:
            return None
        elif type(layer) is nn.Dropout:
            blocks[-1] = Block(last.linear, last.activation, layer.p)
        elif type(last.activation) is nn.Identity and _once(_elementwise, layer):
            blocks[-1] = Block(last.linear, layer, 0.0)
        else:
            return None
    bare = blocks and type(blocks[-1].activation) is nn.Identity and not blocks[-1].dropout
    return blocks if bare else None


def _once(test: Callable[[nn.Module], bool], module: nn.Module) -> bool:
    """A test's outcome, which is remembered for modules of one class with equal settings and layers."""
    key = (test, settings(module))
    if key not in _tried:
        try:
            _tried[key] = test(copy.deepcopy(module).train())
        except Exception:  # whatever code that nobody here knows may raise
            _tried[key] = False
    return _tried[key]


def _elementwise(module: nn.Module) -> bool:
    """Whether each value depends on the one in its place only, and has a slope at zero, as padding needs."""
    points = torch.randn(36, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[0] = 0
    points.requires_grad_()
    with Surprises():
        found, some = module((points + 0).view(4, 9, 1)), module((points[:12] + 0).view(3, 4)).flatten()
        (slopes,) = torch.autograd.grad(found.sum(), points)
    if found.shape != (4, 9, 1) or not torch.allclose(found.flatten()[:12], some, rtol=1e-12, atol=0, equal_nan=True):
        return False
    return bool(torch.isfinite(found[0, 0, 0] + slopes[0]))


def _forwards_through(net: nn.Module) -> bool:
    """Whether a net's forward is its layers one after the other, seen on a batch and weights of its own."""
    generator = torch.Generator().manual_seed(0)
    perturb(net, generator)
    for module in net.modules():
        if type(module) is nn.Dropout:
            module.p = 0.0  # what it does is known; that it is there, the layers tell
    first, layers = next(net.parameters()), nn.Sequential(*_layers(net))
    features = torch.randn(7, first.shape[1], generator=generator, dtype=first.dtype)
    with Surprises(), torch.no_grad():
        pairs = [(net.train(mode)(features), layers.train(mode)(features)) for mode in (True, False)]
    return all(torch.equal(*pair) for pair in pairs)
