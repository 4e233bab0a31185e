"""Learning rates over time: torch's schedulers, alone and with a member axis.

Where members differ, torch's schedulers run beside the training on an optimizer that has one parameter group per
member, so every number is the one a lone run would see.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from src.errors import UserError
from src.training.optimizers import Differing, Make

Figures = Mapping[str, np.ndarray]  # (members,) by name


@dataclass(frozen=True)
class Schedule:
    """A scheduler's constructor and when to step it.

    Args:
        factory: the scheduler's class with its constants bound.
        interval: ``epoch`` or ``step``.
        monitor: the figure that a plateau scheduler watches.
    """

    factory: Callable[..., LRScheduler]
    interval: str
    monitor: str

    @property
    def plateau(self) -> bool:
        """Whether it looks at the training."""
        return isinstance(self.factory, partial) and self.factory.func is ReduceLROnPlateau

    @property
    def cycles_momentum(self) -> bool:
        """Whether it moves momentum, too."""
        bound = self.factory.keywords if isinstance(self.factory, partial) else {}
        known = inspect.signature(self.factory).parameters.get("cycle_momentum")
        return known is not None and bool(bound.get("cycle_momentum", known.default))

    def length(self, epochs: int, batches: int, max_steps: int) -> int:
        """Scheduler steps of a training of so many epochs (-1 for no limit) and steps (likewise)."""
        limits = (epochs * batches if epochs != -1 else -1, max_steps)
        steps = min((limit for limit in limits if limit != -1), default=1)
        return max(steps if self.interval == "step" else -(-steps // batches), 1)

    def check(self, length: int) -> None:
        """Holds one cycle against the length of its training.

        Raises:
            UserError: the training is too short to go up and down, or longer than the cycle.
        """
        if not isinstance(self.factory, partial) or self.factory.func is not OneCycleLR:
            return
        unit, options = self.interval, self.factory.keywords
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

    def build(self, optimizer: Optimizer, length: int) -> LRScheduler:
        """The scheduler of a run.

        Arguments left at None are filled in: ``T_max`` and ``total_steps`` with the run's length in units of
        ``interval``, ``max_lr`` with the optimizer's learning rates.
        """
        rates = [group["lr"] for group in optimizer.param_groups]
        known: dict[str, Any] = {"T_max": length, "total_steps": length}
        known["max_lr"] = rates[0] if len(rates) == 1 else rates
        bound = self.factory.keywords if isinstance(self.factory, partial) else {}
        missing = {name: known[name] for name, value in bound.items() if value is None and name in known}
        return self.factory(optimizer, **missing)


class Scheduler(Protocol):
    """What moves learning rates while members train."""

    def stepped(self) -> None:
        """After an optimizer step."""

    def lr(self) -> Any:
        """The learning rate of the last step, a number or (members,)."""

    def close(self, figures: Figures) -> None:
        """At the end of a whole epoch with these figures."""

    def state(self, member: int) -> dict[str, Any]:
        """What torch's scheduler of a member saves."""

    def group(self, member: int) -> dict[str, Any]:
        """What it has made of the options of the member's optimizer."""

    def keep(self, index: np.ndarray) -> None:
        """Keeps only these members."""


class TorchScheduler:
    """torch's own scheduler on torch's own optimizer: of a lone run, or of members that agree."""

    def __init__(self, optimizer: Optimizer, scheduler: Any, schedule: Schedule) -> None:
        self._optimizer, self._scheduler, self._schedule = optimizer, scheduler, schedule
        self._lr = float(optimizer.param_groups[0]["lr"])

    def stepped(self) -> None:
        """See ``Scheduler``."""
        self._lr = float(self._optimizer.param_groups[0]["lr"])
        if self._schedule.interval == "step":
            self._scheduler.step()

    def lr(self) -> float:
        """See ``Scheduler``."""
        return self._lr

    def close(self, figures: Figures) -> None:
        """See ``Scheduler``."""
        if self._schedule.interval == "epoch":
            if not self._schedule.plateau:
                self._scheduler.step()
            elif self._schedule.monitor in figures:
                self._scheduler.step(float(figures[self._schedule.monitor][0]))

    def state(self, member: int) -> dict[str, Any]:
        """See ``Scheduler``."""
        return dict(self._scheduler.state_dict())

    def group(self, member: int) -> dict[str, Any]:
        """See ``Scheduler``."""
        return {key: value for key, value in self._optimizer.param_groups[0].items() if key != "params"}

    def keep(self, index: np.ndarray) -> None:
        """See ``Scheduler``."""


class MemberSchedulers:
    """torch's own schedulers of members that differ, on optimizers that nobody steps: only their options are read.

    Members whose schedulers have equal constants share one, with a parameter group for each. A plateau looks at its
    member's own figure, so there each has its own.

    Args:
        schedules: per member its own; they move at the same points.
        makes: per member the optimizer's constructor.
        lengths: per member how often its schedule moves.
        optimizer: of all members, whose hyperparameters are set.
    """

    def __init__(
        self, schedules: Sequence[Schedule], makes: Sequence[Make], lengths: Sequence[int], optimizer: Differing
    ) -> None:
        self._schedule, self._optimizer = schedules[0], optimizer
        alike: dict[Any, list[int]] = {}
        for member, (schedule, length) in enumerate(zip(schedules, lengths, strict=True)):
            alike.setdefault(member if schedule.plateau else (id(schedule.factory), length), []).append(member)
        own: dict[int, tuple[Any, int, int]] = {}
        for members in alike.values():
            first = members[0]
            groups = [{**makes[m]([torch.zeros(1, requires_grad=True)]).param_groups[0]} for m in members]
            shadow = makes[first](groups)
            shadow._opt_called = True  # type: ignore[attr-defined]  # no optimizer step comes first here
            scheduler = schedules[first].build(shadow, lengths[first])
            own |= {member: (scheduler, place, lengths[first]) for place, member in enumerate(members)}
        self._own = [own[member] for member in range(len(schedules))]  # scheduler, its group, moves to come
        self._set()
        self._used = self._rates

    def stepped(self) -> None:
        """See ``Scheduler``."""
        self._used = self._rates
        if self._schedule.interval == "step":
            self._move(None)

    def lr(self) -> np.ndarray:
        """See ``Scheduler``."""
        return self._used

    def close(self, figures: Figures) -> None:
        """See ``Scheduler``."""
        monitored = figures.get(self._schedule.monitor) if self._schedule.plateau else None
        if self._schedule.interval == "epoch" and (monitored is not None or not self._schedule.plateau):
            self._move(monitored)

    def state(self, member: int) -> dict[str, Any]:
        """See ``Scheduler``."""
        scheduler, place, _ = self._own[member]
        whole = dict(scheduler.state_dict())
        lists = ("base_lrs", "_last_lr", "min_lrs")  # one for each group
        return whole | {key: [whole[key][place]] for key in lists if key in whole}

    def group(self, member: int) -> dict[str, Any]:
        """See ``Scheduler``."""
        scheduler, place, _ = self._own[member]
        return {key: value for key, value in scheduler.optimizer.param_groups[place].items() if key != "params"}

    def keep(self, index: np.ndarray) -> None:
        """See ``Scheduler``."""
        self._own = [self._own[i] for i in index]
        self._used = self._used[index]
        self._set()

    def _move(self, monitored: np.ndarray | None) -> None:
        for scheduler, _, length in {id(each[0]): each for each in self._own}.values():
            if monitored is None and scheduler.last_epoch < length:  # who has come to its end may wait for others
                scheduler.step()
        if monitored is not None:
            for (scheduler, _, _), figure in zip(self._own, monitored.tolist(), strict=True):
                scheduler.step(figure)
        self._set()

    def _set(self) -> None:
        groups = [scheduler.optimizer.param_groups[place] for scheduler, place, _ in self._own]
        self._rates = np.array([group["lr"] for group in groups], float)
        values = {"lr": self._rates}
        if getattr(self._own[0][0], "cycle_momentum", False):
            if "betas" in groups[0]:
                values["beta1"] = np.array([group["betas"][0] for group in groups], float)
            else:
                values["momentum"] = np.array([group["momentum"] for group in groups], float)
        device = self._optimizer.exact["lr"].device
        for name, column in values.items():
            self._optimizer.set(name, torch.from_numpy(column)[:, None].to(device))
