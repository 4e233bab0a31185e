"""What a resumed training takes from its checkpoint: progress, while settings are those of its configuration.

torch and Lightning save settings beside progress and restore both. So a checkpoint is changed before it is restored;
where nothing was configured otherwise, this changes not a bit of it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from src.adapters.torch_scheduler import as_if_stepped
from src.errors import UserError
from src.training.optimizers import Make
from src.training.schedules import Schedule

_OF_A_PLATEAU = {"best", "num_bad_epochs", "cooldown_counter", "last_epoch"}  # its progress


def adapt(checkpoint: dict[str, Any], make: Make, weights: Sequence[Tensor], schedule: Schedule | None) -> None:
    """Puts the options of optimizer and scheduler into a checkpoint.

    A schedule that does not look at the training is moved to where it would be, had it been so from the start. A
    plateau has counted what it has, and keeps the learning rate that it came to, unless another one was configured.

    Args:
        checkpoint: whole, with one optimizer; changed in place.
        make: the optimizer's constructor, its options bound.
        weights: that it is going to step.
        schedule: of the same class as the saved one.

    Raises:
        UserError: what the optimizer kept of a weight has not the form that it has for these.
    """
    optimizer: Any = make([torch.zeros(1, requires_grad=True)])
    groups, keeps = checkpoint["optimizer_states"][0]["param_groups"], {"params"}
    if len(groups) != len(optimizer.param_groups):
        return
    check_kept(checkpoint["optimizer_states"][0], make, weights)
    if schedule is not None:
        [saved] = checkpoint["lr_schedulers"]
        lr = optimizer.param_groups[0]["lr"]
        as_if_stepped(optimizer)
        scheduler: Any = schedule.build(optimizer)
        progress = set[str]()
        if not schedule.plateau:
            for _ in range(saved["last_epoch"]):
                scheduler.step()
        elif checkpoint.get("Run", {}).get("optimizer", {}).get("lr", lr) == lr:
            progress, keeps = _OF_A_PLATEAU | {"_last_lr"}, {"params", "lr"}
        else:
            progress = _OF_A_PLATEAU
        checkpoint["lr_schedulers"] = [scheduler.state_dict() | {name: saved[name] for name in progress}]
    for group, fresh in zip(groups, optimizer.param_groups, strict=True):
        group |= {name: value for name, value in fresh.items() if name not in keeps}


def check_kept(state: dict[str, Any], make: Make, weights: Sequence[Tensor]) -> None:
    """Holds what an optimizer kept, its ``state_dict``, against what it keeps after a step of no gradient.

    torch does not look at the form before it computes, and its kernels read past the end of what is too small. An
    option that was configured since, as Adam's amsgrad, has it keep more; what it had to keep before is damaged.

    Args:
        make, weights: see ``adapt``.

    Raises:
        UserError: it has another form, or is gone.
    """
    kept = state["state"]
    then = {name: value for name, value in state["param_groups"][0].items() if name != "params"}
    before, now = (_begun(make, weights, options) for options in (then, {}))
    if any(before) and not any(kept.values()):
        raise UserError("what its optimizer kept is gone")
    for place, (had, has) in enumerate(zip(before, now, strict=True)):
        own = kept.get(place, {})
        for name, begun in has.items() if own else ():
            if name not in own and had and name not in had:
                own[name] = begun
            elif isinstance(begun, Tensor) and _form(own.get(name)) != begun.shape:
                raise UserError(f"{name} of weight {place} is not of the form {list(begun.shape)}")


def _begun(make: Make, weights: Sequence[Tensor], options: dict[str, Any]) -> list[dict[str, Any]]:
    """What an optimizer with these options beside its own keeps of each weight after a step of no gradient."""
    still = [torch.zeros_like(each, requires_grad=True) for each in weights]
    for each in still:
        each.grad = torch.zeros_like(each)
    optimizer: Any = make(still)
    optimizer.param_groups[0] |= options
    with suppress(Exception):  # of one that steps in a way of its own, as LBFGS; or of options that are damaged
        optimizer.step()
    return [optimizer.state[each] for each in still]


def _form(value: Any) -> torch.Size | None:
    return value.shape if isinstance(value, Tensor) else torch.Size() if isinstance(value, int | float) else None


def count_both_ways(checkpoint: dict[str, Any]) -> None:
    """Lightning counts steps of its own loop and of ours apart; a run may go on in the other one."""
    loop = checkpoint["loops"]["fit_loop"]
    own = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    for tracker in (own["step"], own["zero_grad"], loop["epoch_loop.manual_optimization.optim_step_progress"]):
        if tracker["total"]["completed"] != checkpoint["global_step"]:
            tracker["total"] = dict.fromkeys(tracker["total"], checkpoint["global_step"])


def keep_patience(checkpoint: dict[str, Any], trainer: pl.Trainer) -> None:
    """Lightning's early stopping takes its patience from a checkpoint, whatever was configured."""
    for callback in trainer.early_stopping_callbacks:
        if saved := checkpoint.get("callbacks", {}).get(callback.state_key):
            saved["patience"] = callback.patience
