"""The nets of a sweep's jobs, and the stack that they make together."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from src.config import build
from src.config.values import container
from src.stacks.job import Job

if TYPE_CHECKING:
    from torch import nn

    from src.data.encoder import Shape
    from src.training.stack import Stack


def together(nets: "Sequence[nn.Module]", seeds: Sequence[int], features: Any, ragged: bool) -> "Stack":
    """Nets as a stack: of one form, or chains of layers whose depth, widths and activations differ.

    Args:
        nets, seeds: of each member, as ``chains.in_order`` has them.
        features: a batch (rows, features).
        ragged: whether members' batches have other numbers of rows. The smaller are filled up, which only nets that
            take each row by itself do not notice.

    Raises:
        Alone: they have none.
    """
    from src.training.equal_stack import equal_stack
    from src.training.padded_stack import padded_stack

    equal = len({form(net) for net in nets}) == 1 and (not ragged or takes_rows_alone(nets[0], features))
    return (equal_stack if equal else padded_stack)(nets, seeds, features)


def takes_rows_alone(net: "nn.Module", features: Any) -> bool:
    """Whether what a net in training gives of a row depends on that row only, as BatchNorm's does not."""
    import torch

    probe = copy.deepcopy(net).train()
    for module in probe.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        return torch.allclose(probe(features)[:2], probe(features[:2]), rtol=1e-4, atol=1e-5)


def form(net: "nn.Module") -> Any:
    """Equal for nets that differ in numbers only: weights, and how often they drop values."""
    from torch import nn

    modules = [
        (name, type(module), "" if type(module) is nn.Dropout else module.extra_repr())
        for name, module in net.named_modules()
    ]
    return tuple(modules), tuple((name, part.shape, part.requires_grad) for name, part in net.named_parameters())


def nets_of(shape: "Shape", jobs: Sequence[Job]) -> "list[nn.Module]":
    """Each job's net as it starts; equal starts are one object."""
    import torch

    factories: dict[tuple[Any, ...], Any] = {}
    made: dict[tuple[Any, ...], Any] = {}
    found = []
    for job in jobs:
        model = container(job.cfg.model)
        init = model.pop("init", None)
        key = (job.cfg.seed, repr(model), repr(init), build.outputs(job.cfg), len(build.levels(job.cfg)))
        if key not in made:
            if any("_target_" in repr(value) for name, value in model.items() if name != "_target_"):
                made[key] = build.net(job.cfg, shape)  # a factory would make the layers within once for all
                found.append(made[key])
                continue
            form = (key[1], *key[3:])
            if form not in factories:
                factories[form] = build.net_factory(job.cfg, shape)
            # Not torch.manual_seed, which keeps a traceback for each call until a GPU is used.
            torch.default_generator.manual_seed(job.cfg.seed)
            with build.precision(job.cfg):
                made[key] = factories[form](**({"init": init} if init is not None else {}))
        found.append(made[key])
    return found
