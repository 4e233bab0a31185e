"""What the members of a stack that goes on take from their checkpoints: all that a whole training would have had."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from src.training.early_stopping import Stopping
from src.training.engine import Engine
from src.training.plain import count
from src.training.stack import ROW, Stack

State = Mapping[str, Any]  # a whole checkpoint


def restore(
    module: Engine,
    states: Sequence[State],
    epochs: int,
    names: Sequence[Sequence[str]],
    stops: Mapping[str, Sequence[Stopping]],
) -> None:
    """Brings a stack to where its members were after so many epochs.

    Args:
        module: at the start of its training, on the device.
        states: of each member the checkpoint of a training with the same configuration, after these epochs.
        names: of each member the parameters of its net, in the order of its optimizer.
        stops: each reason to stop by the name of its state, one for each member.
    """
    assert module.epochs is not None
    stack, history, scheduler = module.stack, module.history, module.epochs.scheduler
    held = stack.held()
    for place, state in enumerate(states):
        for name, part in stack.pack(_weights(state), place).items():
            held[name][place] = part.to(held[name].device)
        history.load_best(state.get("History", {}), partial(_packed, stack, place), place)
        for name, each in stops.items():
            if name in state["callbacks"]:
                each[place].load_state_dict(state["callbacks"][name])
    optimizers = [state["optimizer_states"][0] for state in states if state["optimizer_states"]]
    if optimizers:  # nets that bring their own update have none
        _load_optimizer(module, optimizers, names)
    steps = epochs * module.epochs.data.batches
    if scheduler is not None:
        moved = [state["lr_schedulers"][0] for state in states]
        scheduler.load(epochs, steps, moved, [each["param_groups"][0]["lr"] for each in optimizers])
    history.first = epochs
    count(module.trainer, steps, epochs)


def _weights(state: State) -> dict[str, Tensor]:
    return {name.removeprefix("net."): value for name, value in state["state_dict"].items()}


def _packed(stack: Stack, place: int, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A net's ``state_dict`` as the stack holds it, with a member axis of one; what it lacks is as the stack has it."""
    own = stack.pack(parts, place)
    return {name: own.get(name, whole[place])[None] for name, whole in stack.held().items()}


def _load_optimizer(module: Engine, states: Sequence[State], names: Sequence[Sequence[str]]) -> None:
    """From what torch keeps for each parameter to rows, and to what the parameters of a member share."""
    stack, values = module.stack, module.stack.matrix.values
    rows: dict[str, Tensor] = {}
    shared: list[dict[str, Any]] = []
    for place, (state, own) in enumerate(zip(states, names, strict=True)):
        kept = {own[number]: parts for number, parts in state["state"].items()}
        shapes = {name: part.shape for name, part in stack.unflat(values[place], place).items()}
        shared.append({})
        for key, value in next(iter(kept.values()), {}).items():
            parts = {name: each[key] for name, each in kept.items()}
            if key == "step" or any(getattr(part, "shape", None) != shapes[name] for name, part in parts.items()):
                shared[-1][key] = value
                continue
            row = stack.pack(parts, place)[ROW]
            rows.setdefault(key, torch.zeros_like(values, dtype=row.dtype))[place] = row.to(values.device)
    module.optimizer.load(rows, shared)
