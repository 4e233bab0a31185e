"""What the members of a stack write down, epoch by epoch, and when each of them ended."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Column = Tensor | np.ndarray
# Asked after every epoch with its number, the members that are present, which of them still learn, and the epoch's
# figures, each (present,); says which to prune, or None where there was nothing to ask.
Watcher = Callable[[int, np.ndarray, np.ndarray, Mapping[str, Column]], np.ndarray | None]


def numbers(column: Column) -> np.ndarray:
    """A column on the host, in float64."""
    return column.cpu().double().numpy() if isinstance(column, Tensor) else column


class Ledger:
    """Epoch figures, best weights and endings, with a member axis.

    Rows gather on the device and come to the host an execution at a time. A member that left keeps the
    rows that it had: ``epochs`` says how many.

    Args:
        members: how many there are at the start.
        monitor: the validation figure that decides which weights are best; None keeps the last.
        maximize: whether larger is better.
        watcher: who is asked after every epoch which members to prune.
    """

    def __init__(
        self,
        members: int,
        monitor: str | None = None,
        maximize: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        self.members = members
        self.monitor = monitor
        self.maximize = maximize
        self.watcher = watcher
        self.present = np.arange(members)  # whose weights the rows of the stack are
        self.asked: str | None = None  # why all should end with the epoch they are in
        self.stopped: list[str | None] = [None] * members
        self.diverged_at = np.zeros(members, int)
        self.epochs = np.zeros(members, int)
        self.steps = np.zeros(members, int)
        self.best_value = np.full(members, -np.inf if maximize else np.inf)
        self.best_epoch = np.zeros(members, int)
        self.best_step = np.zeros(members, int)
        self.best: Tensor | None = None  # (members, parameters)
        # What members had when they stopped: weights and an optimizer's buffers (members, parameters), and what a
        # plateau rule knew.
        self.last: Tensor | None = None
        self.buffers: dict[str, Tensor] = {}
        self.plateaus: dict[int, dict[str, Any]] = {}
        self._columns: dict[str, list[np.ndarray]] = {}
        self._pending: dict[str, list[Tensor]] = {}
        self._epochs: list[int] = []

    @property
    def alive(self) -> np.ndarray:
        """Of those present, who still learns: (present,) booleans."""
        return np.array([self.stopped[member] is None for member in self.present], dtype=bool)

    def add(self, columns: Mapping[str, Column]) -> None:
        """Adds an epoch: per figure (present,) numbers; tensors are read later, at ``flush``."""
        for name, values in columns.items():
            if isinstance(values, Tensor):
                self._pending.setdefault(name, []).append(values)
            else:
                self._columns.setdefault(name, []).append(self._spread(values[None]))

    def flush(self) -> None:
        """Brings what has gathered on the device to the host."""
        for name, values in self._pending.items():
            if values:
                block = torch.stack(values).cpu().numpy()
                self._columns.setdefault(name, []).append(self._spread(block))
        self._pending.clear()

    def stop(self, reason: str) -> None:
        """Asks all members to end with the epoch that they are in."""
        self.asked = self.asked or reason

    def end(self, position: int, reason: str, step: int, epochs: int) -> None:
        """Notes that the member at this position stopped."""
        member = int(self.present[position])
        if self.stopped[member] is None:
            self.stopped[member] = reason
            self.steps[member] = step
            self.epochs[member] = epochs
            if reason == "diverged":
                self.diverged_at[member] = step

    def store(self, positions: np.ndarray, weights: Tensor, buffers: Mapping[str, Tensor]) -> None:
        """Keeps weights and buffers (positions, parameters) of members at these positions as their last."""
        members = torch.from_numpy(self.present[positions])
        if self.last is None:
            self.last = torch.zeros((self.members, weights.shape[1]), dtype=weights.dtype)
            self.buffers = {name: torch.zeros_like(self.last) for name in buffers}
        self.last[members] = weights.detach().cpu()
        for name, values in buffers.items():
            self.buffers[name][members] = values.cpu()

    def keep(self, positions: np.ndarray) -> None:
        """Keeps only these members in the stack."""
        self.flush()
        self.present = self.present[positions]

    def improve(self, figures: np.ndarray, weights: Tensor, epoch: int, step: int) -> None:
        """Keeps weights (present, parameters) of those whose monitored figure is their best so far."""
        before = self.best_value[self.present]
        with np.errstate(invalid="ignore"):
            better = (figures > before) if self.maximize else (figures < before)
        better &= np.isfinite(figures) & self.alive
        if self.best is None:
            self.best = torch.zeros((self.members, weights.shape[1]), dtype=weights.dtype, device=weights.device)
        who = self.present[better]
        if len(who):
            self.best[torch.from_numpy(who).to(weights.device)] = weights[torch.from_numpy(better).to(weights.device)]
            self.best_value[who], self.best_epoch[who], self.best_step[who] = figures[better], epoch, step

    def columns(self) -> dict[str, np.ndarray]:
        """Per figure (epochs, members); nan where a figure was not due."""
        self.flush()
        return {name: np.concatenate(blocks) for name, blocks in self._columns.items()}

    def _spread(self, block: np.ndarray) -> np.ndarray:
        if len(self.present) == self.members:
            return block
        whole = np.full((len(block), self.members, *block.shape[2:]), np.nan, block.dtype)
        whole[:, self.present] = block
        return whole
