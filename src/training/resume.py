"""What a resumed training takes from its checkpoint, and what its configuration changes: settings hold, progress stays.

torch saves an optimizer's and a scheduler's settings beside their progress and restores both. So a checkpoint is
changed before Lightning restores it; where nothing was configured otherwise, not a bit of it is.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch

from src.training.optimizers import Make
from src.training.schedules import Schedule

# Of an optimizer's options, those that a scheduler moves, away from where they start.
_MOVED = ("lr", "momentum", "betas")
_OF_A_PLATEAU = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch", "_last_lr")  # its progress
_LENGTHS = ("T_max", "total_steps")  # what ``Schedule.build`` fills in from the length of the training


def adapt(checkpoint: dict[str, Any], make: Make, schedule: Schedule | None, length: int) -> None:
    """Puts settings that were changed into a checkpoint.

    A changed option of the optimizer replaces the saved one. With a schedule that does not look at the training, a
    changed learning rate, setting or length means another sequence of learning rates: training goes on at the step
    of it at which it would be, had it been so from the start.

    Args:
        checkpoint: whole, with one optimizer; changed in place.
        make: the optimizer's constructor, its options bound.
        schedule: of now; of the same class as the saved one.
        length: scheduler steps of the whole training.
    """
    run: Mapping[str, Any] = checkpoint.get("Run", {})
    optimizer: Any = make([torch.zeros(1, requires_grad=True)])
    groups = checkpoint["optimizer_states"][0]["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        return
    names = _changed(run.get("optimizer"), make, groups[0], schedule)
    if schedule is not None:
        [saved] = checkpoint["lr_schedulers"]
        optimizer._opt_called = True  # no optimizer step comes first here
        scheduler: Any = schedule.build(optimizer, length)
        if schedule.plateau:
            constants = {name: v for name, v in scheduler.state_dict().items() if name not in _OF_A_PLATEAU}
            last = {"_last_lr": [group["lr"] for group in optimizer.param_groups]} if "lr" in names else {}
            checkpoint["lr_schedulers"] = [saved | constants | last]
        elif names & set(_MOVED) or _other_sequence(run.get("scheduler"), schedule, scheduler, saved):
            for _ in range(saved["last_epoch"]):
                scheduler.step()
            checkpoint["lr_schedulers"] = [dict(scheduler.state_dict())]
            names |= {name for name in optimizer.param_groups[0] if name in _MOVED or name not in optimizer.defaults}
        else:
            names -= set(_MOVED)
    for group, fresh in zip(groups, optimizer.param_groups, strict=True):
        group |= {name: fresh[name] for name in names if name in fresh and name != "params"}


def _changed(before: Mapping[str, Any] | None, make: Make, saved: Mapping[str, Any], schedule: Any) -> set[str]:
    """The optimizer's options that are not what they were."""
    now = _bound(make)
    if before is None:  # an older checkpoint has its group of parameters only, whose options a scheduler moves
        return {n for n, v in now.items() if n in saved and _plain(saved[n]) != v and not (schedule and n in _MOVED)}
    return {name for name in now.keys() | _options(before).keys() if now.get(name) != _options(before).get(name)}


def _other_sequence(before: Mapping[str, Any] | None, schedule: Schedule, scheduler: Any, saved: Any) -> bool:
    """Whether the learning rates are other ones than those of the schedule that was saved."""
    fresh = scheduler.state_dict()
    if before is None:  # … and an older one its scheduler's state
        constant = ("base_lrs", *_bound(schedule.factory), *_LENGTHS)
        return any(fresh[name] != saved[name] for name in constant if name in fresh and name in saved)
    options = {name: v for name, v in _options(before).items() if name not in ("interval", "monitor")}
    return options != _bound(schedule.factory) or any(fresh.get(name) != saved.get(name) for name in _LENGTHS)


def _options(node: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if not name.startswith("_")}


def _bound(factory: Any) -> dict[str, Any]:
    return {n: _plain(v) for n, v in factory.keywords.items()} if isinstance(factory, partial) else {}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


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
