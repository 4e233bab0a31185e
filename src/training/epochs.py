"""Opening and closing epochs: noise, losses, validation, schedule and history, for one member or many.

Both ways of training call it, so an epoch means the same in each.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from src.data.module import DataModule
from src.data.target import decoded
from src.data.validation import validation_rows
from src.training.history import End, History
from src.training.optimizers import StackedOptimizer
from src.training.schedules import Scheduler
from src.training.stack import Lone, Stack
from src.training.task import ABSURD, Tally, complaint, figure_names

Members = Lone | Stack


class Epochs:
    """The epochs of one training.

    Args:
        members: what is trained.
        losses: per member the loss, which says how large is absurd.
        data: rows of every member.
        history: where epochs are written down.
        device: where the validation rows are needed.
        scheduler: what moves learning rates; None keeps them.
        optimizer: of a stack; what it holds goes into the history when a member stops.
    """

    def __init__(
        self,
        members: Members,
        losses: Sequence[nn.Module],
        data: DataModule,
        history: History,
        device: torch.device,
        scheduler: Scheduler | None = None,
        optimizer: StackedOptimizer | None = None,
    ) -> None:
        self.members, self.data, self.history = members, data, history
        self.scheduler, self.optimizer = scheduler, optimizer
        self.losses: list[Any] = []  # of the epoch's batches so far: (members,) each, or a lone run's numbers
        self.whole = True  # False once ``max_steps`` cut an epoch short
        self._counts = data.gather.counts()
        self._loss_modules = list(losses)
        self._line = history.decode is not None
        self._device = device
        self._look()

    def start(self, epoch: int) -> None:
        """Opens an epoch: its dropout masks follow from (seed, epoch) alone."""
        if self.members.noisy:
            self.members.noise.start(epoch)

    def validate(self) -> dict[str, np.ndarray]:
        """The validation figures (present,) of the weights as they are; {} without such rows."""
        if not self._validation:
            return {}
        self.members.net.eval()
        tally = Tally()
        with torch.no_grad():
            for features, target, weight in self._validation:
                self.add(tally, self.members.forward(features), target, weight)
        self.members.net.train()
        return self.figures(tally)

    def add(self, tally: Tally, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> None:
        """Adds encoded predictions (…, rows, outputs) and targets (…, rows, targets) to a tally, in the targets' units.

        Of several outputs for one target the first is the prediction; ``weight`` is (…, rows), None for 1.
        """
        if prediction.shape[-1] > target.shape[-1]:
            prediction = prediction[..., : target.shape[-1]]
        error = (prediction - target).double() * self._scale
        if self._decode is not None:
            error = self._decode(prediction) - self._decode(target)
        tally.add(error.mT, None if weight is None else weight[..., None, :])

    def figures(self, tally: Tally) -> dict[str, np.ndarray]:
        """A tally's figures (present,) by name, on the host."""
        figures = tally.figures(self._variance, self._targets)
        found = torch.stack(list(figures.values())).cpu().numpy()
        return {f"val/{name}": values for name, values in zip(figures, found, strict=True)}

    def end(self, epoch: int, step: int, whole: bool = True, figures: Mapping[str, np.ndarray] | None = None) -> None:
        """Closes an epoch.

        Args:
            epoch: counted from 0.
            step: optimizer steps done so far.
            whole: False where ``max_steps`` cut the epoch short; then nothing is scheduled.
            figures: of validation, where it was due.
        """
        history, scheduler, self.whole = self.history, self.scheduler, whole
        loss, losses = self._mean_loss(epoch)
        own = self._own_steps(epoch, step) if self.data.gather.ragged else step
        sound = loss <= self._bound  # neither infinite nor nan is
        if not sound.all():
            lost = ~sound & history.alive
            if lost.any():
                self._lose(lost, losses, epoch, own)
            if history.over:
                return
        row: dict[str, Any] = {"step": own, "train/loss": loss}
        if scheduler is not None:
            row["lr"] = scheduler.lr()
        if self._validation:
            row |= figures or self._nothing
        history.add(row, self.members.line() if self._line else None)
        if not history.watched and scheduler is None:
            return
        known = {"train/loss": loss, **(figures or {})}
        history.improve(known, epoch + 1, own, self.members.held)
        if whole and scheduler is not None:
            scheduler.close(known)
        for reason, asked in history.judge(epoch + 1, known).items():
            self._stop(np.flatnonzero(asked & history.alive), reason, own, epoch + 1)

    def finish(self, step: int, epochs: int, reason: str = "completed") -> None:
        """Closes the training of all who went through to its end."""
        own = self._own_steps(epochs - 1, step) if self.data.gather.ragged else step
        self._stop(np.flatnonzero(self.history.alive), reason, own, epochs)
        if self.optimizer is None:  # a callback may have changed a lone run's weights since it stopped
            self.history.last = self.members.held()

    def keep(self, positions: np.ndarray) -> None:
        """Keeps only these members: who has stopped leaves, and takes no time any more."""
        index = torch.from_numpy(positions)
        assert not isinstance(self.members, Lone)
        assert self.optimizer is not None
        self.members.keep(index.to(self._device))
        self.optimizer.keep(index.to(self._device))
        self.data.keep(index.tolist())
        self.history.keep(positions)
        self._loss_modules = [self._loss_modules[i] for i in positions]
        self._counts = self._counts if self._counts.shape[1] == 1 else self._counts[:, index]
        if self.scheduler is not None:
            self.scheduler.keep(positions)
        self._look()

    def _look(self) -> None:
        """Works out what depends on who is present."""
        parts, device = self.data.parts, self._device
        self._validation = validation_rows(parts, device)
        targets = [part.encoder.targets for part in parts]
        affine = all(each.is_affine for own in targets for each in own)
        self._decode = None if affine else partial(decoded, targets)
        self._targets = parts[0].table.target_names
        scale = torch.tensor([[each.scale for each in own] for own in targets], dtype=torch.float64, device=device)
        self._scale = scale[:, None]
        variances = [part.variance("val") if self._validation else np.zeros(len(self._targets)) for part in parts]
        self._variance = torch.tensor(np.array(variances), dtype=torch.float64, device=device)
        bounds: dict[tuple[int, int], float] = {}
        for part, loss in zip(parts, self._loss_modules, strict=True):
            if (id(part), id(loss)) not in bounds:
                target = part.scale[1]
                bounds[id(part), id(loss)] = float(loss(torch.zeros_like(target), target)) * ABSURD or np.inf
        largest = np.finfo(float).max
        pairs = zip(parts, self._loss_modules, strict=True)
        self._bound = np.array([min(bounds[id(part), id(loss)], largest) for part, loss in pairs])
        names = figure_names(self._targets)
        self._nothing = dict.fromkeys((f"val/{name}" for name in names), np.full(len(parts), np.nan))

    def _mean_loss(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The mean (present,) of the batch losses, weighted by what was in them, and the losses (steps, present)."""
        held, steps = self.losses.copy(), len(self.losses)
        self.losses.clear()
        if isinstance(held[0], float):
            if steps == 1:  # a lone run's full batch notices every microsecond
                loss = np.array(held)
                return loss, loss[None]
            losses = torch.tensor(held, dtype=torch.float64).view(steps, 1)
        else:
            losses = torch.stack(held).double().cpu().view(steps, -1)
        gather = self.data.gather
        counts = (gather.step_weights(epoch) if gather.weighed else self._counts)[:steps]
        weighted = losses * counts if counts.shape[1] == 1 else torch.where(counts > 0, losses * counts, 0.0)
        return (weighted.sum(0) / counts.sum(0).clamp(min=torch.finfo(torch.float64).tiny)).numpy(), losses.numpy()

    def _own_steps(self, epoch: int, step: int) -> np.ndarray:
        """Optimizer steps of each member, where their epochs have different numbers of them."""
        own = np.array(self.data.gather.steps)
        return own * epoch + np.minimum(step - epoch * self.data.batches, own)

    def _lose(self, lost: np.ndarray, losses: np.ndarray, epoch: int, own: Any) -> None:
        """Members whose loss was no number, or absurd, end here with the weights that they have."""
        first = np.broadcast_to(own, len(lost)) - len(losses)
        for position in np.flatnonzero(lost):
            column = losses[:, position]
            bad = np.flatnonzero(~(column <= self._bound[position]))
            at = int(bad[0]) if len(bad) else len(column) - 1
            self.history.complaints[int(self.history.present[position])] = complaint(
                f"the loss of optimizer step {max(int(first[position]), 0) + at + 1}", float(column[at])
            )
        self._stop(np.flatnonzero(lost), "diverged", own, epoch)

    def _stop(self, positions: np.ndarray, reason: str, own: Any, epochs: int) -> None:
        if not len(positions):
            return
        history = self.history
        steps = np.broadcast_to(own, len(history.present))
        for position in positions:
            history.end(int(position), reason, int(steps[position]), epochs)
        self._store(positions)

    def snapshot(self, step: int, epochs: int) -> None:
        """Brings what members that still learn have after so many steps and whole epochs into the history."""
        history = self.history
        positions = np.flatnonzero(history.alive)
        own = self._own_steps(epochs - 1, step) if self.data.gather.ragged else step
        who = history.present[positions]
        history.epochs[who], history.steps[who] = epochs, np.broadcast_to(own, len(history.present))[positions]
        self._store(positions)

    def _store(self, positions: np.ndarray) -> None:
        """Keeps what members of a stack hold, and what trains them."""
        optimizer = self.optimizer
        if optimizer is None:
            return
        ends = []
        for position in positions.tolist():
            end = End(optimizer.group(position), optimizer.shared(position))
            if self.scheduler is not None:
                end.group |= self.scheduler.group(position)
                end.schedulers = [self.scheduler.state(position)]
            ends.append(end)
        self.history.store(positions, self.members.held(), optimizer.rows(), ends)
