"""What members' trainings write down, epoch by epoch, who stopped, when and why, and the best weights so far."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.training.early_stopping import Stopping

Column = Tensor | np.ndarray | float
# Asked after every epoch with its number, the members that are present, which of them still learn, and the epoch's
# figures, each (present,); says which to prune, or None where there was nothing to ask.
Pruner = Callable[[int, np.ndarray, np.ndarray, Mapping[str, np.ndarray]], np.ndarray | None]
Held = dict[str, Tensor]  # what members hold, by name: rows and buffers, see ``stack.ROW``; or one net's state


@dataclass
class End:
    """Where a member stopped: torch's parameter group, the rest of its optimizer's state, and what else has some."""

    group: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    schedulers: list[dict[str, Any]] = field(default_factory=list)


class History:
    """Figures of epochs, best weights and endings, with a member axis.

    A figure of an epoch stays on the device until somebody reads it. A member that stopped keeps the epochs that it
    had: ``epochs`` says how many.

    Args:
        members: how many there are at the start.
        monitor: the validation figure that decides which weights are best; None keeps the last.
        maximize: whether larger is better.
        stoppers: reasons to stop, each a list of one for each member; they are asked after every epoch.
        pruner: likewise, the study's.
        max_epochs: per member where its training ends, where that differs.
        decode: rows (epochs, present, parameters) of these members to slope and intercept, (epochs, present) each;
            where nets are straight lines of one feature.
    """

    def __init__(
        self,
        members: int = 1,
        monitor: str | None = None,
        maximize: bool = False,
        stoppers: Sequence[Sequence[Stopping]] = (),
        pruner: Pruner | None = None,
        max_epochs: Sequence[int] | None = None,
        decode: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]] | None = None,
    ) -> None:
        self.members, self.monitor, self.maximize = members, monitor, maximize
        self.stoppers, self.pruner, self.decode = list(stoppers), pruner, decode
        self.max_epochs = None if max_epochs is None else np.array(max_epochs)
        self.present = np.arange(members)  # whose weights the rows of the training are
        self.asked: str | None = None  # why all should end with the epoch they are in
        # Of several processes that train together: from what each is asked, once an epoch, to what all of them do.
        self.agreed: Callable[[str | None], str | None] = lambda asked: asked
        self.stopped: list[str | None] = [None] * members
        self.complaints: dict[int, str] = {}  # what was wrong with a member that diverged
        self.first = 0  # epochs that an earlier training of this run had
        self.epochs = np.zeros(members, int)
        self.steps = np.zeros(members, int)
        self.best_value = np.full(members, -np.inf if maximize else np.inf)
        self.best_epoch = np.zeros(members, int)
        self.best_step = np.zeros(members, int)
        self.best: Held = {}
        self.last: Held = {}  # what members had when they stopped …
        self.state: Held = {}  # … an optimizer's rows (members, parameters) …
        self.ends: dict[int, End] = {}  # … and the rest
        self.length = 0  # epochs that were closed in this training
        self.learning = members  # how many still do
        self._alive = np.ones(members, bool)
        self._columns: dict[str, list[np.ndarray]] = {}  # blocks (epochs, members)
        self._figures: list[Mapping[str, Any]] = []  # of epochs that are in no block yet …
        self._rows: list[Any] = []  # … and the weights of straight lines

    @property
    def alive(self) -> np.ndarray:
        """Of those present, who still learns: (present,) booleans."""
        return self._alive[self.present]

    @property
    def over(self) -> bool:
        """Whether nobody still learns."""
        return not self.learning

    @property
    def watched(self) -> bool:
        """Whether anything looks at the figures of an epoch."""
        return bool(self.monitor or self.pruner or self.stoppers or self.max_epochs is not None or self.asked)

    def add(self, figures: Mapping[str, Column], rows: Tensor | list[list[float]] | None) -> None:
        """Adds an epoch: per figure (present,) numbers; ``rows`` (present, parameters) of straight lines wait."""
        self._figures.append(figures)
        self.length += 1
        if rows is not None:
            self._rows.append(rows)

    def flush(self) -> None:
        """Turns what has gathered into blocks, and brings it to the host."""
        found, self._figures = self._figures, []
        rows, self._rows = self._rows, []
        blocks = {name: np.array([each[name] for each in found], float) for name in (found[0] if found else ())}
        if rows and self.decode is not None:
            block = torch.stack(rows).cpu().double().numpy() if isinstance(rows[0], Tensor) else np.array(rows)
            blocks |= self.decode(block, self.present)
        for name, block in blocks.items():
            self._columns.setdefault(name, []).append(self._spread(block.reshape(len(found), -1)))

    def stop(self, reason: str) -> None:
        """Asks all members to end with the epoch that they are in; the first reason stands."""
        self.asked = self.asked or reason

    def end(self, position: int, reason: str, step: int, epochs: int) -> None:
        """Notes that the member at this position stopped."""
        member = int(self.present[position])
        if self.stopped[member] is None:
            self.stopped[member], self.steps[member], self.epochs[member] = reason, step, epochs
            self._alive[member] = False
            self.learning -= 1

    def judge(self, epoch: int, figures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Who has to stop at the end of an epoch, (present,) booleans by reason; the first reason stands."""
        found: dict[str, np.ndarray] = {}
        if self.pruner is not None:
            pruned = self.pruner(epoch, self.present, self.alive, figures)
            if pruned is not None:
                found["pruned"] = pruned
        for own in self.stoppers:
            if own[0].monitor in figures:
                # Who has stopped and not left yet is not asked again, so that it remembers its end.
                each = zip(self.present.tolist(), self.alive.tolist(), figures[own[0].monitor].tolist(), strict=True)
                asked = np.array([alive and own[member].stops(value) for member, alive, value in each])
                found[own[0].reason] = found.get(own[0].reason, False) | asked
        if self.max_epochs is not None:
            found["completed"] = self.max_epochs[self.present] <= epoch
        if reason := self.agreed(self.asked):
            found[reason] = np.ones(len(self.present), bool)
        return found

    def improve(self, figures: Mapping[str, np.ndarray], epoch: int, step: Any, held: Callable[[], Held]) -> None:
        """Keeps the weights of those whose monitored figure is their best so far."""
        if self.monitor is None or self.monitor not in figures:
            return
        values, before = figures[self.monitor], self.best_value[self.present]
        with np.errstate(invalid="ignore"):
            better = (values > before) if self.maximize else (values < before)
        better &= np.isfinite(values) & self.alive
        if not better.any():
            return
        who = self.present[better]
        self._put(self.best, held(), np.flatnonzero(better), who)
        self.best_value[who], self.best_epoch[who] = values[better], epoch
        self.best_step[who] = np.broadcast_to(step, values.shape)[better]

    def store(self, positions: np.ndarray, held: Held, state: Held, ends: Sequence[End]) -> None:
        """Keeps what members at these positions have as their last."""
        who = self.present[positions]
        self._put(self.last, held, positions, who)
        self._put(self.state, state, positions, who)
        self.ends |= dict(zip(who.tolist(), ends, strict=True))

    def keep(self, positions: np.ndarray) -> None:
        """Keeps only these members in the training."""
        self.flush()
        self.present = self.present[positions]

    def columns(self, since: int = 0) -> dict[str, np.ndarray]:
        """Per figure (epochs, members), from epoch ``since`` of this training on; nan where a figure was not due."""
        self.flush()
        for blocks in self._columns.values():
            if len(blocks) > 1:
                blocks[:] = [np.concatenate(blocks)]
        return {name: blocks[0][since:] for name, blocks in self._columns.items()}

    def table(self, since: int = 0) -> dict[str, np.ndarray]:
        """metrics.csv's columns (epochs, members), in its order, from epoch ``since`` of this training on."""
        columns = self.columns(since)
        count = len(columns.get("step", ()))
        numbers = np.arange(self.first + since + 1, self.first + since + count + 1)
        if not count:
            return {}
        columns["step"] = np.nan_to_num(columns["step"]).astype(int)
        columns["epoch"] = np.broadcast_to(numbers[:, None], (count, self.members))
        place = ("epoch", "step", "train/loss", "lr", "slope", "intercept")
        order = sorted(columns, key=lambda name: place.index(name) if name in place else len(place))
        return {name: columns[name] for name in order}

    def of(self, member: int, best: bool) -> Held:
        """What a member held last, or in its best epoch where there is one."""
        kept = self.best if best and self.best_epoch[member] else self.last
        return {name: part[member] for name, part in kept.items()}

    def best_state(self, state: Callable[[Held, int], Held], member: int = 0) -> dict[str, Any]:
        """What a run that goes on has to know of its best epoch; plain values and tensors.

        Args:
            state: what a member holds, and which it is, to its net's ``state_dict``: what a stack keeps in a form of
                its own is a lone run's here.
        """
        if not self.best_epoch[member]:
            return {}
        return {
            "monitor": self.monitor,
            "epoch": int(self.best_epoch[member]),
            "step": int(self.best_step[member]),
            "value": float(self.best_value[member]),
            "state_dict": state(self.of(member, best=True), member),
        }

    def load_best(self, state: Mapping[str, Any], pack: Callable[[Held], Held], member: int = 0) -> None:
        """Takes what ``best_state`` gave, where it is of the figure that decides here.

        Args:
            pack: a net's ``state_dict`` to what is held, with a member axis of one.
        """
        if state.get("monitor") is None or state["monitor"] != self.monitor:
            return
        for kept, name in ((self.best_value, "value"), (self.best_epoch, "epoch"), (self.best_step, "step")):
            kept[member] = state[name]
        self._put(self.best, pack(state["state_dict"]), np.array([0]), np.array([member]))

    def _put(self, kept: Held, new: Held, positions: np.ndarray, who: np.ndarray) -> None:
        """Keeps what members at these positions have, on the host."""
        for name, values in new.items():
            if name not in kept:
                kept[name] = torch.zeros((self.members, *values.shape[1:]), dtype=values.dtype)
            kept[name][torch.from_numpy(who)] = values[torch.from_numpy(positions).to(values.device)].detach().cpu()

    def _spread(self, block: np.ndarray) -> np.ndarray:
        """A block (epochs, present), or (epochs, 1) where all are alike, as (epochs, members)."""
        if len(self.present) == self.members:
            return block if block.shape[1] == self.members else np.broadcast_to(block, (len(block), self.members))
        whole = np.full((len(block), self.members), np.nan)
        whole[:, self.present] = block
        return whole
