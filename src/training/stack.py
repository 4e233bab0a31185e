"""One net, or many of one form behind one forward: what both ways of training and every optimizer see."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from src.training.members import Matrix, swap_leaf
from src.training.noise import Noise, seed_dropout

ROWS = 64  # of the batch on which forms are compared
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest output; another order of additions


class Alone(Exception):
    """Nets cannot share a forward; the message says why."""


class Together(Protocol):
    """What a comparison needs of nets that share a forward."""

    noise: Noise
    noisy: bool

    def forward(self, features: Tensor) -> Tensor:
        """Predictions (members, rows, outputs)."""
        ...

    def buffers(self) -> dict[str, Tensor]:
        """What members hold besides weights, as it stands."""
        ...


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


def stacked(nets: Sequence[nn.Module], seeds: Sequence[int], features: Tensor) -> Stack:
    """Nets of one form as a stack: layers with a member axis where that is right, else ``torch.func.vmap``.

    Which is right is seen on a batch: on nets with weights of their own first, for members may start equal, then on
    the nets themselves.

    Args:
        nets: a module may stand for several members that start alike.
        seeds: decide their dropout masks.
        features: a batch (rows, features).

    Raises:
        Alone: neither gives what each net gives alone.
    """
    features = features[:ROWS]
    probes = [copy.deepcopy(nets[0]) for _ in range(3)]
    generator = torch.Generator().manual_seed(0)
    for probe in probes:
        for parameter in probe.parameters():
            parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    _refuse_surprises(probes[0], features)
    reasons = []
    for mapped in (False, True):
        try:
            tried = Stack(probes, range(3), mapped)
            compare(tried, probes, range(3), features)
            tried.net.eval()
            compare(tried, [copy.deepcopy(probe).eval() for probe in probes], range(3), features)
            stack = Stack(nets, seeds, mapped)
            first = {id(net): place for place, net in reversed(list(enumerate(nets)))}
            compare(stack, nets, seeds, features, sorted(first.values()))
            return stack
        except (Alone, RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            reasons.append(next(iter(str(error).splitlines()), type(error).__name__))
    raise Alone(f"its net has no form with a member axis ({reasons[-1]})")


def compare(
    stack: Together,
    nets: Sequence[nn.Module],
    seeds: Sequence[int],
    features: Tensor,
    places: Sequence[int] | None = None,
) -> None:
    """Compares members with their own nets alone, each with the dropout masks of its seed.

    Args:
        stack: of these nets.
        nets: one for each member.
        seeds: likewise.
        features: a batch (rows, features).
        places: the members to look at; all of them otherwise.

    Raises:
        Alone: a member comes to other numbers, or to another shape, or its buffers do.
    """
    before = {name: part.clone() for name, part in stack.buffers().items()}
    stack.noise.start(0)
    with torch.no_grad():
        together = stack.forward(features)
    after = {name: part.clone() for name, part in stack.buffers().items()}
    for name, part in stack.buffers().items():
        part.copy_(before[name])
    for place in range(len(nets)) if places is None else places:
        net = nets[place]
        if stack.noisy or before:
            net = copy.deepcopy(net)
        lone = Lone(net, seeds[place])
        lone.noise.start(0)
        with torch.no_grad():
            alone = lone.forward(features)
        if together.shape[1:] != alone.shape:
            raise Alone(f"expected outputs {tuple(alone.shape)} a member, found {tuple(together.shape[1:])}")
        if not _close(together[place], alone):
            raise Alone("members come to other numbers than alone")
        if not all(_close(after[name][place], part[0]) for name, part in lone.buffers().items()):
            raise Alone("its forward does not change its buffers in place, as members' could be")


def _close(one: Tensor, other: Tensor) -> bool:
    if not other.is_floating_point():
        return torch.equal(one, other)
    bound = _TOLERANCE.get(other.dtype, 1e-2) * max(1.0, float(other.abs().max().nan_to_num(0, 0, 0)))
    return torch.allclose(one, other, rtol=0, atol=bound, equal_nan=True)


class Surprises(TorchDispatchMode):
    """Refuses what no member axis can follow: a decision by a value, and random numbers of the net's own."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise Alone("its net decides by values in Python")
        if torch.Tag.nondeterministic_seeded in func.tags and (kwargs or {}).get("generator") is None:
            raise Alone("its net draws random numbers of its own")
        return func(*args, **(kwargs or {}))


def _refuse_surprises(net: nn.Module, features: Tensor) -> None:
    lone = Lone(copy.deepcopy(net), 0)
    with Surprises():
        lone.net.eval()
        with torch.no_grad():
            lone.forward(features)
        lone.net.train()
        found = lone.forward(features)
    if found.requires_grad:
        found.sum().backward()
        # torch's optimizers pass such a one by; in a matrix it would have a gradient of zero, and decay.
        idle = [name for name, part in lone.net.named_parameters() if part.requires_grad and part.grad is None]
        if idle:
            raise Alone(f"{idle[0]} takes no part in its forward")


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
