"""What a chain is: a net that is nothing but linear layers with activations and dropout between them.

And which chains should share a stack. Padding hidden layers to twice their width costs four times the arithmetic, and
a stack more 0.2 to 0.5 ms a step: so there is one for each width, and who would be alone joins a wider one. In ms a
step with AdamW of 64 random MLPs (5 widths of 8 to 128, 1 to 3 layers, 4 activations; 1 thread; 26 · 128 · 512 rows):
one by one 22 · 25 · 38, a stack for each structure 10 · 14 · 24, for each width 5 · 9 · 23, all in one 19 · 23 · 89.
"""

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from src.training.forms import Surprises

Signature = tuple[str, type | nn.Module | None]  # settings, and the class; where they do not compare, the module itself

_WIDER = 2  # with 64 random widths of 8 to 128, 1.5 was as fast and 1.25 slower on few rows
_MODULE = frozenset(vars(nn.Module()))  # what every module has, whatever it does
_tried: dict[Hashable, bool] = {}  # what trying one of many alike has shown


@dataclass(frozen=True)
class Block:
    """A linear layer, and what follows it up to the next.

    Args:
        linear: (rows, in) to (rows, out).
        activation: element-wise; None where there is none.
        dropout: probability of a value being zeroed while training, after the activation.
    """

    linear: nn.Linear
    activation: nn.Module | None
    dropout: float


def chain(net: nn.Module) -> list[Block] | None:
    """The layers of a net from input to output, the last a bare ``nn.Linear``; None where it is no chain.

    A chain is an ``nn.Linear``, an ``nn.Sequential`` of layers in the order linear, activation, dropout, or a module
    around one such ``nn.Sequential`` whose forward gives the same numbers.
    """
    modules = list(net.modules())
    if any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in modules):
        return None
    layers = list(_layers(net))
    linears = [layer for layer in layers if type(layer) is nn.Linear]
    parts = [part for layer in linears for part in layer.parameters()]
    own = list(net.parameters())
    # A layer that occurs twice, a frozen one, or numbers of another module: not what a row of a matrix can be.
    if len(own) != len(parts) or any(a is not b for a, b in zip(own, parts, strict=True)) or list(net.buffers()):
        return None
    if not all(part.requires_grad for part in own) or len({(part.dtype, part.device) for part in own}) != 1:
        return None
    blocks = _blocks(layers)
    return blocks if blocks and _once(_forwards_through, net) else None


def groups(nets: Sequence[nn.Module]) -> list[list[int]]:
    """The places of nets that should share a stack, in the order that is fast: by depth, then by activation.

    A group has inputs, outputs and widths in common, but that a net without company joins one whose layers are at most
    twice as wide. What is no chain is in no group.
    """
    known = {id(net): chain(net) for net in nets}
    chains = {place: blocks for place, net in enumerate(nets) if (blocks := known[id(net)])}
    equal: dict[tuple[Hashable, tuple[int, int]], list[int]] = {}
    for place, blocks in chains.items():
        equal.setdefault((ends(blocks), _widths(blocks)), []).append(place)
    found: dict[tuple[Hashable, tuple[int, int]], list[int]] = {}
    for end, widths in sorted(equal, key=lambda key: key[1], reverse=True):
        places = equal[end, widths]
        hosts = [w for e, w in found if e == end and all(a <= b <= _WIDER * a for a, b in zip(widths, w, strict=True))]
        # A straight line has no hidden layer to pad.
        hosts = hosts or [w for e, w in found if e == end and not any(widths)]
        key = (end, hosts[-1]) if hosts and len(places) == 1 else (end, widths)
        found.setdefault(key, []).extend(places)
    return sorted(_in_order(places, chains) for places in found.values())


def ends(blocks: Sequence[Block]) -> Hashable:
    """What all members of a stack have in common: widths of inputs and outputs, kind of numbers, and device."""
    weight = blocks[0].linear.weight
    return blocks[0].linear.in_features, blocks[-1].linear.out_features, weight.dtype, weight.device


def signature(module: nn.Module | None) -> Signature:
    """Equal for modules without parameters that do the same, as far as their attributes tell."""
    if module is None:
        return "", None
    settings = sorted((name, value) for name, value in vars(module).items() if name not in {*_MODULE, "inplace"})
    if all(value is None or isinstance(value, bool | int | float | str) for _, value in settings):
        return f"{type(module).__qualname__} {settings}", type(module)
    return type(module).__qualname__, module


def plain(activation: nn.Module) -> nn.Module:
    """A copy that leaves its input as it is."""
    own = copy.deepcopy(activation)
    if "inplace" in vars(own):
        vars(own)["inplace"] = False
    return own


def _widths(blocks: Sequence[Block]) -> tuple[int, int]:
    """Of the widest hidden layer and of the first: two, for what narrows should not be padded to what widens."""
    hidden = [block.linear.out_features for block in blocks[:-1]] or [0]
    return max(hidden), hidden[0]


def _in_order(places: Sequence[int], chains: Mapping[int, Sequence[Block]]) -> list[int]:
    """The deepest first, and activations forth and back, so that neighbours of two depths may have one in common."""
    kinds = {place: [signature(block.activation) for block in chains[place]] for place in places}
    ranks = {kind: rank for rank, kind in enumerate(sorted(dict.fromkeys(map(tuple, kinds.values())), key=str))}
    rank = {place: ranks[tuple(kinds[place])] for place in places}
    return sorted(places, key=lambda p: (-len(chains[p]), -rank[p] if len(chains[p]) % 2 else rank[p], p))


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
            blocks.append(Block(layer, None, 0.0))
        elif type(layer) is nn.Identity or (type(layer) is nn.Dropout and not layer.p):
            continue
        elif last is None or last.dropout:
            return None
        elif type(layer) is nn.Dropout:
            blocks[-1] = Block(last.linear, last.activation, layer.p)
        elif last.activation is None and _once(_elementwise, layer):
            blocks[-1] = Block(last.linear, layer, 0.0)
        else:
            return None
    return blocks if blocks and blocks[-1].activation is None and not blocks[-1].dropout else None


def _once(test: Callable[[nn.Module], bool], module: nn.Module) -> bool:
    """A test's outcome, which is remembered for modules of one class with equal settings and layers."""
    settings, kind = signature(module)
    if kind is module:
        return test(module)
    key = (test, settings, kind, str(module))
    if key not in _tried:
        _tried[key] = test(module)
    return _tried[key]


def _elementwise(module: nn.Module) -> bool:
    """Whether each value depends on the one in its place only, and has a slope at zero, as padding needs."""
    if module._modules or module._parameters or module._buffers:
        return False
    activation = plain(module).train()
    points = torch.randn(36, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points[0] = 0
    points.requires_grad_()
    try:
        with Surprises():
            found, some = activation(points.view(4, 9, 1)), activation(points[:12].view(3, 4))
            (slopes,) = torch.autograd.grad(found.sum(), points)
    except Exception:  # whatever code that nobody here knows may raise
        return False
    if found.shape != (4, 9, 1) or some.shape != (3, 4) or not torch.isfinite(found.flatten()[0] + slopes[0]):
        return False
    return torch.allclose(found.flatten()[:12], some.flatten(), rtol=1e-12, atol=0, equal_nan=True)


def _forwards_through(net: nn.Module) -> bool:
    """Whether a net's forward is its layers one after the other, seen on a batch and weights of its own."""
    if all(type(module) is nn.Sequential for module in net.modules() if list(module.children())):
        return True
    probe = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(0)
    for module in probe.modules():
        if type(module) is nn.Dropout:
            module.p = 0.0  # what it does is known; that it is there, the layers tell
    with torch.no_grad():
        for part in probe.parameters():
            part.add_(torch.randn(part.shape, generator=generator, dtype=part.dtype).to(part.device))
        first = next(probe.parameters())
        features = torch.randn(7, first.shape[1], generator=generator, dtype=first.dtype).to(first.device)
        for training in (True, False):
            probe.train(training)
            try:
                with Surprises():
                    same = torch.equal(probe(features), nn.Sequential(*_layers(probe))(features))
            except Exception:  # whatever code that nobody here knows may raise
                return False
            if not same:
                return False
    return True
