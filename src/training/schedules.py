"""Learning rates over time: torch's schedulers, alone and with a member axis.

Where members differ, torch's schedulers run beside the training on an optimizer that has one parameter group per
member, so every number is the one a lone run would see.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from src.adapters.torch_scheduler import as_if_stepped
from src.errors import UserError
from src.training.member_optimizers import Differing
from src.training.optimizers import Make

Figures = Mapping[str, np.ndarray]  # (members,) by name


@dataclass(frozen=True)
class Schedule:
    """A scheduler's constructor and when to step it.

    Args:
        factory: the scheduler's class with its constants bound.
        interval: ``epoch`` or ``step``.
        monitor: the figure that a plateau scheduler watches.
        length: how often it moves in its training.
    """

    factory: Callable[..., LRScheduler]
    interval: str
    monitor: str
    length: int

    @property
    def plateau(self) -> bool:
        """Whether it looks at the training."""
        return isinstance(self.factory, partial) and self.factory.func is ReduceLROnPlateau

    def check(self) -> None:
        """Holds one cycle against the length of its training.

        Raises:
            UserError: the training is too short to go up and down, or longer than the cycle.
        """
        if not isinstance(self.factory, partial) or self.factory.func is not OneCycleLR:
            return
        unit, options, length = self.interval, self.factory.keywords, self.length
        total, start = options.get("total_steps") or length, options.get("pct_start")
        if length < 2:
            raise UserError(
                f"scheduler=onecycle needs at least 2 {unit}s to go up and down, found {length}; "
                "trainer.max_epochs or a smaller data.batch_size gives more"
            )
        if total < length:
            raise UserError(
                f"scheduler.total_steps must be null or at least the {length} {unit}s of this training, found {total}"
            )
        if start is not None and start * total == 1:  # torch divides by one less
            raise UserError(
                f"scheduler.pct_start={start} of {total} {unit}s is a single one, in which nothing can go up, "
                "expected a little more or less"
            )

    def build(self, optimizer: Optimizer) -> LRScheduler:
        """The scheduler of a run.

        Arguments left at None are filled in: ``T_max`` and ``total_steps`` with the run's length in units of
        ``interval``, ``max_lr`` with the optimizer's learning rates.
        """
        rates = [group["lr"] for group in optimizer.param_groups]
        known: dict[str, Any] = {"T_max": self.length, "total_steps": self.length}
        known["max_lr"] = rates[0] if len(rates) == 1 else rates
        bound = self.factory.keywords if isinstance(self.factory, partial) else {}
        missing = {name: known[name] for name, value in bound.items() if value is None and name in known}
        return self.factory(optimizer, **missing)


Own = tuple[LRScheduler, int, float]  # torch's scheduler of a member, its group there, and how often it moves


class Scheduler:
    """Moves the learning rates of a training by torch's own schedulers.

    Args:
        schedule: when they move.
        own: of each member, or the one of all, which then holds the optimizer that trains.
        optimizer: of members that differ; it is given what their schedulers make of optimizers that nobody steps.
    """

    def __init__(self, schedule: Schedule, own: Sequence[Own], optimizer: Differing | None = None) -> None:
        self._schedule, self._own, self._optimizer = schedule, list(own), optimizer
        self._look()
        self._used = self._rates

    def stepped(self) -> None:
        """After an optimizer step."""
        self._used = self._rates
        if self._schedule.interval == "step":
            self._move(None)

    def lr(self) -> np.ndarray:
        """The learning rates of the last step, (members,), or (1,) where all share one."""
        return self._used

    def close(self, figures: Figures) -> None:
        """At the end of a whole epoch with these figures."""
        monitored = figures.get(self._schedule.monitor) if self._schedule.plateau else None
        if self._schedule.interval == "epoch" and (monitored is not None or not self._schedule.plateau):
            self._move(monitored)

    def state(self, member: int) -> dict[str, Any]:
        """What torch's scheduler of a member saves."""
        scheduler, place, _ = self._of(member)
        whole = dict(scheduler.state_dict())
        lists = ("base_lrs", "_last_lr", "min_lrs")  # one for each group
        return whole | {key: [whole[key][place]] for key in lists if key in whole}

    def group(self, member: int) -> dict[str, Any]:
        """What it has made of the options of the member's optimizer."""
        scheduler, place, _ = self._of(member)
        return {key: value for key, value in scheduler.optimizer.param_groups[place].items() if key != "params"}

    def load(self, epochs: int, steps: int, states: Sequence[dict[str, Any]], rates: Sequence[float]) -> None:
        """Goes to where it was after so many epochs and optimizer steps.

        Args:
            states, rates: what ``state`` and ``lr`` of each member were then, for those that look at the training.
        """
        if not self._schedule.plateau:
            for _ in range(steps if self._schedule.interval == "step" else epochs):
                self._move(None)
            return
        for (plateau, place, _), state, rate in zip(self._own, states, rates, strict=True):
            plateau.load_state_dict(state)
            plateau.optimizer.param_groups[place]["lr"] = rate
        self._look()

    def keep(self, index: np.ndarray) -> None:
        """Keeps only these members."""
        if self._optimizer is not None:
            self._own, self._used = [self._own[i] for i in index], self._used[index]
            self._look()

    def _of(self, member: int) -> Own:
        return self._own[0 if self._optimizer is None else member]

    def _move(self, monitored: np.ndarray | None) -> None:
        if monitored is None:
            for scheduler, _, length in {id(each[0]): each for each in self._own}.values():
                if scheduler.last_epoch < length:  # who has come to its end may wait for others
                    scheduler.step()
        else:
            for (plateau, _, _), figure in zip(self._own, monitored.tolist(), strict=True):
                plateau.step(figure)
        self._look()

    def _look(self) -> None:
        groups = [scheduler.optimizer.param_groups[place] for scheduler, place, _ in self._own]
        self._rates = np.array([group["lr"] for group in groups], float)
        if self._optimizer is None:
            return
        values = {"lr": self._rates}
        if getattr(self._own[0][0], "cycle_momentum", False):
            if "betas" in groups[0]:
                values["beta1"] = np.array([group["betas"][0] for group in groups], float)
            else:
                values["momentum"] = np.array([group["momentum"] for group in groups], float)
        if "initial_weight_decay" in groups[0]:
            values["weight_decay"] = np.array([group["weight_decay"] for group in groups], float)
        device = self._optimizer.exact["lr"].device
        for name, column in values.items():
            self._optimizer.set(name, torch.from_numpy(column)[:, None].to(device))


def own_schedulers(schedules: Sequence[Schedule], makes: Sequence[Make]) -> list[Own]:
    """torch's schedulers of members that differ, on optimizers that nobody steps: only their options are read.

    Members whose schedulers have equal constants share one, with a parameter group for each. A plateau looks at its
    member's own figure, so there each has its own.

    Args:
        schedules: per member its own; they move at the same points.
        makes: per member the optimizer's constructor.
    """
    alike: dict[Any, list[int]] = {}
    for member, schedule in enumerate(schedules):
        alike.setdefault(member if schedule.plateau else schedule, []).append(member)
    own: dict[int, Own] = {}
    for members in alike.values():
        first = members[0]
        shadow = makes[first]([{**makes[m]([torch.zeros(1, requires_grad=True)]).param_groups[0]} for m in members])
        as_if_stepped(shadow)
        scheduler = schedules[first].build(shadow)
        own |= {member: (scheduler, place, schedules[first].length) for place, member in enumerate(members)}
    return [own[member] for member in range(len(schedules))]
