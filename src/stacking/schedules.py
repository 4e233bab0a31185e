"""Learning rates with a member axis: torch's own schedulers run ahead of the training, and a plateau rule.

A schedule that does not look at the training is a list of numbers. torch's scheduler writes it down on
an optimizer that has one parameter group per member, so every number is the one a lone run would see.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

Factory = Callable[..., Any]
State = tuple[dict[str, Any], dict[str, Any]]


class Sequences:
    """What a scheduler sets, step by step.

    ``values`` maps ``lr`` (and ``momentum`` or ``beta1`` where the scheduler cycles it) to arrays
    (length + 1, members); row i holds after i scheduler steps.

    Args:
        factories: per member the scheduler's class with its constants bound.
        optimizers: per member the optimizer's constructor.
        length: scheduler steps of a training.
    """

    def __init__(
        self, factories: Sequence[Factory], optimizers: Sequence[Callable[..., Optimizer]], length: int
    ) -> None:
        self._factories, self._optimizers, self._length = factories, optimizers, length
        self._constants = [repr(sorted(f.keywords.items())) if isinstance(f, partial) else "" for f in factories]
        self.values: dict[str, np.ndarray] = {}
        self._whole = self._run(dict.fromkeys(range(len(factories)), length), self.values)

    def states(self, done: Sequence[int]) -> list[State]:
        """Per member the parameter group and the scheduler's state that a lone run would save after so many steps."""
        early = {member: steps for member, steps in enumerate(done) if steps != self._length}
        found = self._whole | self._run(early, {})
        return [found[member] for member in range(len(done))]

    def _run(self, done: dict[int, int], values: dict[str, np.ndarray]) -> dict[int, State]:
        """Runs members' schedulers so many steps, those together that share constants; fills ``values``."""
        alike: dict[tuple[str, int], list[int]] = {}
        for member, steps in done.items():
            alike.setdefault((self._constants[member], steps), []).append(member)
        ends = {}
        for (_, steps), members in alike.items():
            factory = self._factories[members[0]]
            numbers, groups, state = _run_group(factory, [self._optimizers[m] for m in members], self._length, steps)
            for name, columns in numbers.items():
                whole = values.setdefault(name, np.zeros((self._length + 1, len(self._factories))))
                whole[: steps + 1, members] = columns
            for place, member in enumerate(members):
                own = {key: [state[key][place]] for key in ("base_lrs", "_last_lr") if key in state}
                ends[member] = (groups[place], state | own)
        return ends


def _run_group(
    factory: Factory, optimizers: Sequence[Callable[..., Optimizer]], length: int, steps: int
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]], dict[str, Any]]:
    """The numbers, parameter groups and scheduler state of members that share a scheduler's constants, after steps."""
    alone = [make([torch.zeros(1, requires_grad=True)]) for make in optimizers]
    keys = ("lr", "momentum", "betas")
    optimizer = optimizers[0](
        [
            {"params": one.param_groups[0]["params"], **{k: one.defaults[k] for k in keys if k in one.defaults}}
            for one in alone
        ]
    )
    optimizer._opt_called = True  # type: ignore[attr-defined]  # no optimizer step comes first here
    lrs = [one.defaults["lr"] for one in alone]
    known: dict[str, Any] = {"T_max": max(length, 1), "total_steps": max(length, 1), "max_lr": lrs}
    bound = factory.keywords if isinstance(factory, partial) else {}
    scheduler = factory(
        optimizer, **{name: known[name] for name, value in bound.items() if value is None and name in known}
    )
    rows: list[list[tuple[float, ...]]] = []
    momentum = "betas" if "betas" in optimizer.defaults else "momentum" if "momentum" in optimizer.defaults else None
    for step in range(steps + 1):
        rows.append(
            [
                (g["lr"], g[momentum][0] if momentum == "betas" else g[momentum] if momentum else 0.0)
                for g in optimizer.param_groups
            ]
        )
        if step < steps:
            scheduler.step()
    numbers = np.array(rows)
    found = {"lr": numbers[:, :, 0]}
    if momentum and hasattr(scheduler, "cycle_momentum"):
        found["beta1" if momentum == "betas" else "momentum"] = numbers[:, :, 1]
    groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    return found, groups, scheduler.state_dict()


class Plateau:
    """``ReduceLROnPlateau`` for many members: lr times factor once a figure stays where it was for too long.

    Args:
        schedulers: one per member, of torch's class, fresh; their constants and learning rates are read.
    """

    def __init__(self, schedulers: Sequence[ReduceLROnPlateau]) -> None:
        self._template = schedulers[0].state_dict()

        def read(get: Callable[[ReduceLROnPlateau], Any]) -> np.ndarray:
            return np.array([get(scheduler) for scheduler in schedulers])

        self.lr = read(lambda s: s.optimizer.param_groups[0]["lr"]).astype(float)
        self.best = read(lambda s: s.best).astype(float)
        self.num_bad_epochs = np.zeros(len(schedulers), int)
        self.cooldown_counter = np.zeros(len(schedulers), int)
        self._factor = read(lambda s: s.factor)
        self._patience = read(lambda s: s.patience)
        self._threshold = read(lambda s: s.threshold)
        self._cooldown = read(lambda s: s.cooldown)
        self._min_lr = read(lambda s: s.min_lrs[0])
        self._eps = read(lambda s: s.eps)
        self._lower = read(lambda s: s.mode == "min")
        self._relative = read(lambda s: s.threshold_mode == "rel")

    def step(self, figures: np.ndarray) -> None:
        """Takes a figure (members,) and changes ``lr`` where it is time."""
        sign = np.where(self._lower, -1.0, 1.0)
        with np.errstate(invalid="ignore"):
            bound = np.where(
                self._relative, self.best * (1 + sign * self._threshold), self.best + sign * self._threshold
            )
            better = np.where(self._lower, figures < bound, figures > bound)
        self.best = np.where(better, figures, self.best)
        self.num_bad_epochs = np.where(better, 0, self.num_bad_epochs + 1)
        cooling = self.cooldown_counter > 0
        self.cooldown_counter = np.where(cooling, self.cooldown_counter - 1, self.cooldown_counter)
        self.num_bad_epochs = np.where(cooling, 0, self.num_bad_epochs)
        due = self.num_bad_epochs > self._patience
        reduced = np.maximum(self.lr * self._factor, self._min_lr)
        self.lr = np.where(due & (self.lr - reduced > self._eps), reduced, self.lr)
        self.cooldown_counter = np.where(due, self._cooldown, self.cooldown_counter)
        self.num_bad_epochs = np.where(due, 0, self.num_bad_epochs)

    def state(self, member: int, epochs: int) -> dict[str, Any]:
        """What torch's scheduler of a member would save after so many epochs."""
        counted = {name: getattr(self, name)[member].item() for name in ("best", "num_bad_epochs", "cooldown_counter")}
        constants = {
            name: getattr(self, f"_{name}")[member].item()
            for name in ("factor", "patience", "threshold", "cooldown", "eps")
        }
        own = {
            "min_lrs": [self._min_lr[member].item()],
            "default_min_lr": self._min_lr[member].item(),
            "mode": "min" if self._lower[member] else "max",
            "threshold_mode": "rel" if self._relative[member] else "abs",
            "mode_worse": math.inf if self._lower[member] else -math.inf,
            "last_epoch": epochs,
            "_last_lr": [self.lr[member].item()],
        }
        return self._template | counted | constants | own

    def keep(self, index: np.ndarray) -> None:
        """Keeps only these members."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value[index])
