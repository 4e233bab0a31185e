"""The LightningModule of a stack: every member's optimizer step in one, many steps in a training step."""

from collections.abc import Callable, Sequence

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from src.data.order import noise_seed
from src.stacking.ledger import Column, Ledger, numbers
from src.stacking.losses import Losses
from src.stacking.nets import Lines, StackedNet
from src.stacking.rows import StackData, StackedRows
from src.stacking.rules import Rule
from src.stacking.schedules import Plateau, Sequences
from src.stacking.validation import FIGURES, Validation
from src.training.epochs import count


class Stack(pl.LightningModule):
    """Trains all members of a stack.

    Args:
        net: their common form.
        weights: (members, parameters), each row as the member starts.
        rule: makes the update rule from weights on the training's device.
        losses: makes the members' losses from them.
        schedule: learning rates ahead of time, or a plateau rule; None keeps them.
        interval: ``epoch`` or ``step``: when a schedule moves.
        monitor: the figure that a plateau rule watches.
        clip: a bound on each member's gradient and what it bounds, ``norm`` or ``value``.
        dropout: per member the probability of a hidden value being zeroed; None without dropout.
        seeds: per member what decides its dropout masks.
        ledger: where every epoch is noted.
    """

    def __init__(
        self,
        net: StackedNet,
        weights: Tensor,
        rule: Callable[[Tensor], Rule],
        losses: Callable[[Tensor], Losses],
        schedule: Sequences | Plateau | None,
        interval: str,
        monitor: str,
        clip: tuple[float, str] | None,
        dropout: Sequence[float] | None,
        seeds: Sequence[int],
        ledger: Ledger,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = net
        self.weights = weights
        self.ledger = ledger
        self.rule: Rule
        self._make = (rule, losses)
        self.schedule, self.interval, self._monitor = schedule, interval, monitor
        self._clip = clip
        self._dropout = list(dropout) if dropout is not None else None
        self._seeds = list(seeds)
        self._losses: list[Tensor] = []

    def configure_optimizers(self) -> None:
        """None: the rules with a member axis are not torch optimizers."""

    def on_train_start(self) -> None:
        """Moves everything to the training's device."""
        self.weights = self.weights.to(self.device, copy=True)
        self._gradient = torch.zeros_like(self.weights)
        self.rule, self._loss = self._make[0](self.weights), self._make[1](self.weights)
        self._generators = [torch.Generator(self.device) for _ in self._seeds] if self._dropout else []
        data = getattr(self.trainer, "datamodule", None)
        assert isinstance(data, StackData)
        self._data = data
        self._validation = Validation(data, self.device) if len(data.first.rows["val"]) else None
        if isinstance(self.schedule, Sequences):
            self._sequences = {
                name: torch.from_numpy(values).to(self.device)[:, :, None]
                for name, values in self.schedule.values.items()
            }

    def training_step(self, execution: StackedRows, batch_idx: int) -> None:
        """A whole execution; the stack as it was before it is nowhere kept."""
        trainer = self.trainer
        before = trainer.global_step
        done, ended, present = 0, 0, len(self.ledger.present)
        cadence = trainer.check_val_every_n_epoch or 1
        for index, stretch in enumerate(execution.stretches):
            if stretch.start == 0 and self._dropout:
                for generator, seed in zip(self._generators, self._seeds, strict=True):
                    generator.manual_seed(noise_seed(seed, stretch.epoch))
            for features, target in execution.batches(index):
                self._scheduled(before + done, stretch.epoch)
                self._step(features, target)
                done += 1
                self._watch_divergence(before + done, stretch.epoch)
            if stretch.ends_epoch:
                ended += 1
                self._end_epoch(stretch.epoch, before + done, (stretch.epoch + 1) % cadence == 0)
            # Rows that were gathered for a larger stack fit no more; Lightning fetches the rest again.
            if not self.ledger.alive.any() or len(self.ledger.present) < present:
                break
        self.ledger.flush()
        count(trainer, done, max(ended - 1, 0))
        if not self.ledger.alive.any():
            trainer.should_stop = True

    @torch.no_grad()
    def _step(self, features: Tensor, target: Tensor) -> None:
        error = self.net.forward(self.weights, features, self._masks(target.shape[-1])).sub_(target)
        losses, slope = self._loss(error)
        self.net.backward(slope, self._gradient)
        if self._clip is not None:
            self._bound_gradient(*self._clip)
        self.rule.step(self.weights, self._gradient)
        self._losses.append(losses)

    def _masks(self, rows: int) -> list[Tensor]:
        """Dropout factors per layer, drawn member by member as a lone run draws them."""
        if not self._dropout:
            return []
        masks = [self.weights.new_empty(len(self.weights), rows, width) for width in self.net.sizes]
        for member, (generator, p) in enumerate(zip(self._generators, self._dropout, strict=True)):
            for mask in masks:
                mask[member].bernoulli_(1 - p, generator=generator).div_(1 - p)
        return masks

    def _bound_gradient(self, bound: float, what: str) -> None:
        """As ``torch.nn.utils.clip_grad_norm_`` or ``clip_grad_value_``, member by member."""
        if what == "norm":
            factor = bound / (self._gradient.norm(dim=1, keepdim=True) + 1e-6)
            self._gradient.mul_(factor.clamp(max=1.0))
        else:
            self._gradient.clamp_(-bound, bound)

    def _scheduled(self, step: int, epoch: int) -> None:
        """Sets what a schedule says for this optimizer step, counted from 0."""
        if isinstance(self.schedule, Sequences):
            at = step if self.interval == "step" else epoch
            for name, values in self._sequences.items():
                self.rule.set(name, values[at])

    def _watch_divergence(self, step: int, epoch: int) -> None:
        """A member whose loss is not finite ends here, with the weights that it has."""
        # One number to read per step; on other devices than a CPU reading waits, so once per epoch.
        losses = self._losses[-1]
        if self.device.type != "cpu" and len(self._losses) < self._data.batches:
            return
        if torch.isfinite(losses.sum()):
            return
        bad = ~torch.isfinite(losses).cpu().numpy() & self.ledger.alive
        for position in np.flatnonzero(bad):
            self.ledger.end(int(position), "diverged", step, epoch)
        self._freeze(np.flatnonzero(bad))

    def write_down(self, positions: np.ndarray) -> None:
        """Brings what members at these positions have when they stop into the ledger."""
        ledger = self.ledger
        index = torch.from_numpy(positions).to(self.device)
        ledger.store(positions, self.weights[index], {name: part[index] for name, part in self.rule.state.items()})
        if isinstance(self.schedule, Plateau):
            for position in positions:
                member = int(ledger.present[position])
                ledger.plateaus[member] = self.schedule.state(int(position), int(ledger.epochs[member]))

    def _freeze(self, positions: np.ndarray) -> None:
        """Sets members aside. Their place is filled with zeros that do not move, so no neighbour notices."""
        self.write_down(positions)
        index = torch.from_numpy(positions).to(self.device)
        self.weights[index] = 0.0
        for state in self.rule.state.values():
            state[index] = 0.0
        lr = self.rule.exact["lr"].clone()
        lr[index] = 0.0
        self.rule.set("lr", lr)
        if isinstance(self.schedule, Sequences):
            self._sequences["lr"][:, index] = 0.0
        elif isinstance(self.schedule, Plateau):
            self.schedule.lr[index.cpu().numpy()] = 0.0

    def _end_epoch(self, epoch: int, step: int, validate: bool) -> None:
        """Closes an epoch: figures, best weights, schedule, pruning."""
        ledger = self.ledger
        columns: dict[str, Column] = {"train/loss": self._mean_loss()}
        if isinstance(self.schedule, Plateau):
            columns["lr"] = self.schedule.lr.copy()
        elif self.schedule is not None:
            at = step - 1 if self.interval == "step" else epoch
            columns["lr"] = self.schedule.values["lr"][at][ledger.present]
        if isinstance(self.net, Lines) and self.weights.shape[1] == 2:
            columns["weight"] = self.weights.clone()
        if self._validation is not None:
            figures = self._validation.figures(self.net, self.weights) if validate else {}
            nothing = np.full(len(ledger.present), np.nan)
            columns |= {f"val/{name}": figures.get(name, nothing) for name in FIGURES}
            if validate and ledger.monitor:
                ledger.improve(numbers(columns[ledger.monitor]), self.weights, epoch + 1, step)
        if isinstance(self.schedule, Plateau) and not (self._monitor.startswith("val/") and not validate):
            self.schedule.step(numbers(columns[self._monitor]))
            self.rule.set("lr", torch.from_numpy(self.schedule.lr).to(self.device)[:, None])
        ledger.add(columns)
        if ledger.asked:
            for position in np.flatnonzero(ledger.alive):
                ledger.end(int(position), ledger.asked, step, epoch + 1)
        elif ledger.watcher is not None:
            pruned = ledger.watcher(epoch + 1, ledger.present, ledger.alive, columns)
            if pruned is not None and pruned.any():
                self._prune(np.flatnonzero(pruned), epoch + 1, step)

    def _mean_loss(self) -> Tensor:
        """The mean (present,) of the epoch's batch losses, weighted by rows."""
        losses, self._losses = self._losses, []
        if len(losses) == 1:
            return losses[0]
        rows, size = self._data.gather.rows, self._data.batch_size
        weights = torch.full((len(losses), 1), float(size), dtype=torch.float64, device=self.device)
        weights[-1] = rows - (len(losses) - 1) * size
        return (torch.stack(losses).double() * weights).sum(0) / rows

    def _prune(self, pruned: np.ndarray, epoch: int, step: int) -> None:
        """Takes members at these positions, and any that had stopped, out of the stack."""
        ledger = self.ledger
        for position in pruned:
            ledger.end(int(position), "pruned", step, epoch)
        self.write_down(pruned)
        positions = np.flatnonzero(ledger.alive)
        index = torch.from_numpy(positions).to(self.device)
        self.weights, self._gradient = self.weights[index], self._gradient[index]
        self.rule.keep(index)
        self._loss.keep(index)
        if isinstance(self.schedule, Sequences):
            self._sequences = {name: values[:, index] for name, values in self._sequences.items()}
        elif isinstance(self.schedule, Plateau):
            self.schedule.keep(positions)
        if self._validation is not None:
            self._validation.keep(index)
        if self._dropout:
            self._dropout = [self._dropout[i] for i in positions]
            self._generators = [self._generators[i] for i in positions]
        self._seeds = [self._seeds[i] for i in positions]
        self.ledger.keep(positions)
        self._data.keep(index.cpu())
