"""Stacks are compared with each net alone before training begins; what no member axis can follow is refused."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from src.training.stack import Alone, Lone, Stack

ROWS = 64  # of the batch on which forms are compared
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest output; another order of additions


def perturb(net: nn.Module, generator: torch.Generator) -> None:
    """Gives a net weights that nothing but chance explains."""
    for part in net.parameters():
        part.data += torch.randn(part.shape, generator=generator, dtype=part.dtype).to(part.device)


def compare(stack: Stack, nets: Sequence[nn.Module], seeds: Sequence[int], features: Tensor) -> None:
    """Compares members with their own nets alone, each with the dropout masks of its seed.

    Args:
        stack: of these nets.
        nets: one for each member; of those that share one, the first is looked at.
        seeds: likewise.
        features: a batch (rows, features).

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
    for place in {id(net): place for place, net in reversed(list(enumerate(nets)))}.values():
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


def refuse_surprises(net: nn.Module, features: Tensor) -> None:
    """Holds a net against what a member axis can follow.

    Raises:
        Alone: it decides by values, draws random numbers, or has a parameter that takes no part.
    """
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
