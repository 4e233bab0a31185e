"""Learning rates over time: torch's schedulers, alone and with a member axis.

A schedule that does not look at the training is a list of numbers. Where members differ, torch's scheduler writes it
down on an optimizer that has one parameter group per member, so every number is the one a lone run would see.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
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

    def begin(self, step: int, epoch: int) -> None:
        """Before an optimizer step, both counted from 0."""

    def stepped(self) -> None:
        """After it."""

    def lr(self) -> Any:
        """The learning rate of the last step, a number or (members,)."""

    def close(self, figures: Figures) -> None:
        """At the end of a whole epoch."""

    def state(self, member: int, steps: int, epochs: int) -> list[dict[str, Any]]:
        """What torch's scheduler of a member would save after so many optimizer steps and epochs."""

    def keep(self, index: np.ndarray) -> None:
        """Keeps only these members."""


class TorchScheduler:
    """torch's own scheduler on torch's own optimizer: of a lone run, or of members that agree."""

    def __init__(self, optimizer: Optimizer, scheduler: Any, schedule: Schedule) -> None:
        self._optimizer, self._scheduler, self._schedule = optimizer, scheduler, schedule
        self._lr = float(optimizer.param_groups[0]["lr"])

    def begin(self, step: int, epoch: int) -> None:
        """See ``Scheduler``."""

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

    def state(self, member: int, steps: int, epochs: int) -> list[dict[str, Any]]:
        """See ``Scheduler``."""
        return [dict(self._scheduler.state_dict())]

    def keep(self, index: np.ndarray) -> None:
        """See ``Scheduler``."""


class Sequences:
    """What schedulers set, step by step, worked out ahead of the training.

    Args:
        schedules: per member its own.
        makes: per member the optimizer's constructor.
        lengths: per member the scheduler steps of its training.
    """

    def __init__(self, schedules: Sequence[Schedule], makes: Sequence[Make], lengths: Sequence[int]) -> None:
        self._schedules, self._makes, self._lengths = list(schedules), list(makes), list(lengths)
        self._interval = schedules[0].interval
        # ``lr`` (and ``momentum`` or ``beta1`` where the scheduler cycles it) to (length + 1, members); row i holds
        # after i scheduler steps.
        self.values: dict[str, np.ndarray] = {}
        self._ends: dict[tuple[int, int], tuple[list[dict[str, Any]], int]] = {}
        whole = max(lengths) + 1
        for (_, length), members in self._alike(lengths).items():
            for name, columns in self._run(members, length, length)[0].items():
                found = self.values.setdefault(name, np.zeros((whole, len(lengths))))
                found[: length + 1, members] = columns
                found[length + 1 :, members] = columns[-1]
        self._at = 0
        self._optimizer: Differing | None = None
        self._tensors: dict[str, Tensor] = {}

    def bind(self, optimizer: Differing, device: torch.device) -> None:
        """Tells whose hyperparameters to change."""
        self._optimizer = optimizer
        self._tensors = {name: torch.from_numpy(v).to(device)[:, :, None] for name, v in self.values.items()}

    def begin(self, step: int, epoch: int) -> None:
        """See ``Scheduler``."""
        assert self._optimizer is not None
        self._at = step if self._interval == "step" else epoch
        for name, values in self._tensors.items():
            self._optimizer.set(name, values[min(self._at, len(values) - 1)])

    def stepped(self) -> None:
        """See ``Scheduler``."""

    def lr(self) -> np.ndarray:
        """See ``Scheduler``."""
        return self.values["lr"][min(self._at, len(self.values["lr"]) - 1)]

    def close(self, figures: Figures) -> None:
        """See ``Scheduler``."""

    def state(self, member: int, steps: int, epochs: int) -> list[dict[str, Any]]:
        """See ``Scheduler``; the torch scheduler is run again, once for all members that are alike."""
        return [self.ended(member, steps, epochs)[1]]

    def group(self, member: int, steps: int, epochs: int) -> dict[str, Any]:
        """The parameter group that the scheduler leaves behind."""
        return self.ended(member, steps, epochs)[0]

    def ended(self, member: int, steps: int, epochs: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A member's parameter group and scheduler state after so many steps and epochs."""
        done = min(steps if self._interval == "step" else epochs, self._lengths[member])
        if (member, done) not in self._ends:
            alike = next(m for (_, n), m in self._alike(self._lengths).items() if member in m)
            _, groups, state = self._run(alike, self._lengths[member], done)
            for place, other in enumerate(alike):
                own = {key: [state[key][place]] for key in ("base_lrs", "_last_lr") if key in state}
                self._ends[other, done] = ([groups[place], state | own], done)
        group, state = self._ends[member, done][0]
        return group, state

    def keep(self, index: np.ndarray) -> None:
        """See ``Scheduler``."""
        self._schedules, self._makes, self._lengths = (
            [items[i] for i in index] for items in (self._schedules, self._makes, self._lengths)
        )
        self._ends.clear()
        self.values = {name: values[:, index] for name, values in self.values.items()}
        self._tensors = {name: values[:, torch.from_numpy(index)] for name, values in self._tensors.items()}

    def _alike(self, lengths: Sequence[int]) -> dict[tuple[str, int], list[int]]:
        """Members whose schedulers have equal constants and lengths."""
        found: dict[tuple[str, int], list[int]] = {}
        for member, (schedule, length) in enumerate(zip(self._schedules, lengths, strict=True)):
            factory = schedule.factory
            constants = repr(sorted(factory.keywords.items())) if isinstance(factory, partial) else ""
            found.setdefault((constants, length), []).append(member)
        return found

    def _run(
        self, members: list[int], length: int, steps: int
    ) -> tuple[dict[str, np.ndarray], list[dict[str, Any]], dict[str, Any]]:
        """The numbers, parameter groups and scheduler state of members that are alike, after so many steps."""
        alone = [self._makes[member]([torch.zeros(1, requires_grad=True)]) for member in members]
        groups = [{**one.param_groups[0]} for one in alone]
        optimizer = self._makes[members[0]](groups)
        optimizer._opt_called = True  # type: ignore[attr-defined]  # no optimizer step comes first here
        scheduler = self._schedules[members[0]].build(optimizer, length)
        momentum = next((name for name in ("betas", "momentum") if name in optimizer.defaults), None)
        rows: list[list[tuple[float, float]]] = []
        for step in range(steps + 1):
            firsts = (
                g[momentum][0] if momentum == "betas" else g[momentum] if momentum else 0.0
                for g in optimizer.param_groups
            )
            rows.append([(group["lr"], first) for group, first in zip(optimizer.param_groups, firsts, strict=True)])
            if step < steps:
                scheduler.step()
        numbers = np.array(rows)
        found = {"lr": numbers[:, :, 0]}
        if momentum and hasattr(scheduler, "cycle_momentum"):
            found["beta1" if momentum == "betas" else "momentum"] = numbers[:, :, 1]
        plain = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        return found, plain, dict(scheduler.state_dict())


class Plateau:
    """``ReduceLROnPlateau`` for many members: lr times factor once a figure stays where it was for too long.

    Args:
        schedulers: one per member, of torch's class, fresh; their constants and learning rates are read.
        monitor: the figure.
        optimizer: whose learning rates to change.
    """

    def __init__(self, schedulers: Sequence[ReduceLROnPlateau], monitor: str, optimizer: Differing) -> None:
        self._template = schedulers[0].state_dict()
        self._monitor, self._optimizer = monitor, optimizer

        def read(get: Callable[[ReduceLROnPlateau], Any]) -> np.ndarray:
            return np.array([get(scheduler) for scheduler in schedulers])

        self.rate = read(lambda s: s.optimizer.param_groups[0]["lr"]).astype(float)
        self._used = self.rate
        self.best = read(lambda s: s.best).astype(float)
        self.num_bad_epochs = np.zeros(len(schedulers), int)
        self.cooldown_counter = np.zeros(len(schedulers), int)
        self.seen = np.zeros(len(schedulers), int)
        self._factor = read(lambda s: s.factor)
        self._patience = read(lambda s: s.patience)
        self._threshold = read(lambda s: s.threshold)
        self._cooldown = read(lambda s: s.cooldown)
        self._min_lr = read(lambda s: s.min_lrs[0])
        self._eps = read(lambda s: s.eps)
        self._lower = read(lambda s: s.mode == "min")
        self._relative = read(lambda s: s.threshold_mode == "rel")

    def begin(self, step: int, epoch: int) -> None:
        """See ``Scheduler``."""
        self._used = self.rate

    def stepped(self) -> None:
        """See ``Scheduler``."""

    def lr(self) -> np.ndarray:
        """See ``Scheduler``."""
        return self._used

    def close(self, figures: Figures) -> None:
        """See ``Scheduler``; takes the figure and changes ``rate`` where it is time."""
        if self._monitor not in figures:
            return
        figure = figures[self._monitor]
        sign = np.where(self._lower, -1.0, 1.0)
        with np.errstate(invalid="ignore"):
            bound = np.where(
                self._relative, self.best * (1 + sign * self._threshold), self.best + sign * self._threshold
            )
            better = np.where(self._lower, figure < bound, figure > bound)
        self.seen = self.seen + 1
        self.best = np.where(better, figure, self.best)
        self.num_bad_epochs = np.where(better, 0, self.num_bad_epochs + 1)
        cooling = self.cooldown_counter > 0
        self.cooldown_counter = np.where(cooling, self.cooldown_counter - 1, self.cooldown_counter)
        self.num_bad_epochs = np.where(cooling, 0, self.num_bad_epochs)
        due = self.num_bad_epochs > self._patience
        reduced = np.maximum(self.rate * self._factor, self._min_lr)
        self.rate = np.where(due & (self.rate - reduced > self._eps), reduced, self.rate)
        self.cooldown_counter = np.where(due, self._cooldown, self.cooldown_counter)
        self.num_bad_epochs = np.where(due, 0, self.num_bad_epochs)
        lr = torch.from_numpy(self.rate)[:, None]
        self._optimizer.set("lr", lr.to(self._optimizer.exact["lr"].device))

    def state(self, member: int, steps: int, epochs: int) -> list[dict[str, Any]]:
        """See ``Scheduler``."""
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
            "last_epoch": int(self.seen[member]),
            "_last_lr": [self.rate[member].item()],
        }
        return [self._template | counted | constants | own]

    def keep(self, index: np.ndarray) -> None:
        """See ``Scheduler``."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(self, name, value[index])
