"""Checkpoints and event files of a stack's members: what a lone run writes, from arrays."""

import copy
import socket
import time
from os import getpid
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from src.jobs.draw import flat
from src.jobs.stack import Trained
from src.results import records
from src.results.stencils import Stencils
from src.stacking.nets import unflat
from src.stacking.schedules import Sequences

_TOGETHER = 16  # members whose curves are laid out at a time: what stays in a cache

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class Checkpoints:
    """last.ckpt to go on from and best.ckpt to predict with, for every member.

    Args:
        trained: the stack.
        chosen: the weights (members, parameters) that predict.
    """

    def __init__(self, trained: Trained, chosen: Tensor) -> None:
        self._trained, self._chosen = trained, chosen
        ledger, schedule, trainer = trained.ledger, trained.module.schedule, trained.trainer
        whole = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        self._common = {key: value for key, value in whole.items() if key not in ("StackData", "state_dict")}
        self._last: dict[tuple[int, int], Stencils] = {}
        self._best = Stencils({"pytorch-lightning_version": whole["pytorch-lightning_version"]})
        self._prefix = "" if trained.cfg.model._target_.endswith(".Scratch") else "net."
        self._group = trained.optimizers[0]([torch.zeros(1, requires_grad=True)]).param_groups[0]
        self._scheduled: list[Any] | None = None
        if isinstance(schedule, Sequences):
            done = ledger.steps if trained.module.interval == "step" else ledger.epochs
            self._scheduled = schedule.states(done.tolist())

    def write(self, index: int) -> None:
        """Writes both files of a member."""
        trained, ledger = self._trained, self._trained.ledger
        assert ledger.last is not None
        encoder = trained.parts[index].encoder.state_dict()
        # The epoch in which a run diverges counts, whole or not.
        epochs, steps = int(ledger.epochs[index]) + (ledger.stopped[index] == "diverged"), int(ledger.steps[index])
        last: dict[str, Any] = {"DataModule": encoder, "state_dict": self._weights(ledger.last[index])}
        if self._prefix:
            last |= {"optimizer_states": [self._optimizer(index, steps)], "lr_schedulers": self._schedulers(index)}
        if (epochs, steps) not in self._last:
            self._last[epochs, steps] = Stencils(_counted(self._common, epochs, steps))
        folder = trained.jobs[index].folder.checkpoints
        (folder / "last.ckpt").write_bytes(self._last[epochs, steps].file(last))
        if ledger.best_epoch[index]:
            epochs, steps = int(ledger.best_epoch[index]), int(ledger.best_step[index])
        best = {"epoch": epochs, "global_step": steps, "DataModule": encoder}
        (folder / "best.ckpt").write_bytes(self._best.file(best | {"state_dict": self._weights(self._chosen[index])}))

    def _weights(self, row: Tensor) -> dict[str, Tensor]:
        parts = unflat(row, self._trained.shapes)
        return {self._prefix + name: tensor for name, tensor in parts.items()}

    def _optimizer(self, index: int, steps: int) -> dict[str, Any]:
        """torch's ``state_dict`` of the member's optimizer."""
        trained, ledger = self._trained, self._trained.ledger
        names = list(trained.shapes)
        if self._scheduled is not None:
            group = dict(self._scheduled[index][0])
        else:
            options = {key: value for key, value in trained.optimizers[index].keywords.items() if key in self._group}
            if "betas" in options:
                options["betas"] = tuple(options["betas"])  # as torch keeps them
            group = self._group | options
            if index in ledger.plateaus:
                group["lr"] = ledger.plateaus[index]["_last_lr"][0]
        group["params"] = list(range(len(names)))
        parts = {buffer: unflat(rows[index], trained.shapes) for buffer, rows in ledger.buffers.items()}
        counts = {} if set(parts) <= {"momentum_buffer"} else {"step": torch.tensor(float(steps))}
        state = {n: counts | {buffer: part[name] for buffer, part in parts.items()} for n, name in enumerate(names)}
        return {"state": state if parts else {}, "param_groups": [group]}

    def _schedulers(self, index: int) -> list[dict[str, Any]]:
        if self._scheduled is not None:
            return [self._scheduled[index][1]]
        plateau = self._trained.ledger.plateaus.get(index)
        return [] if plateau is None else [plateau]


def _counted(checkpoint: dict[str, Any], epochs: int, steps: int) -> dict[str, Any]:
    """A Trainer's checkpoint as it would be after so many epochs and optimizer steps."""
    found = copy.deepcopy(checkpoint) | {"epoch": epochs, "global_step": steps}
    loop = found["loops"]["fit_loop"]
    counters = ((loop["epoch_progress"], epochs), (loop["epoch_loop.manual_optimization.optim_step_progress"], steps))
    for progress, count in counters:
        for part in ("total", "current"):
            progress[part] = dict.fromkeys(progress[part], count)
    return found


class Events:
    """Event files: curves, hyperparameters and final figures.

    Args:
        trained: the stack.
        columns: curves (members, epochs) by name.
        figures: final metrics of each member.
    """

    def __init__(self, trained: Trained, columns: dict[str, np.ndarray], figures: list[dict[str, float]]) -> None:
        self._trained, self._figures = trained, figures
        self._now = time.time()
        self._start = _event(wall_time=self._now, file_version="brain.Event:2")
        logger = next(n for n in trained.cfg.logger.values() if n.get("_target_", "").endswith(".TensorBoard"))
        self._most = logger.max_points
        self._columns = columns
        self._parameters = flat(trained.cfg)
        self._summaries: dict[Any, list[Any]] = {}
        ends = [self._end(index) for index in range(len(trained.jobs))]
        # Checksums of thousands of records of one length cost little more than one record's.
        self._heads = records.frame([self._start])[0]
        self._ends = _framed(ends)
        self._blocks: dict[int, list[bytes]] = {}

    def write(self, index: int) -> None:
        """Writes a member's file."""
        name = f"events.out.tfevents.{int(self._now):010d}.{socket.gethostname()}.{getpid()}.0"
        with (self._trained.jobs[index].folder.path / name).open("wb") as file:
            file.write(b"".join([self._heads, *self._curves(index), *self._ends[index]]))

    def _end(self, index: int) -> list[bytes]:
        """Hyperparameters and final figures of a member."""
        metrics = {f"final/{name}": value for name, value in self._figures[index].items()}
        flat = self._trained.jobs[index].flat
        parameters = self._parameters | {
            name: value
            for name in self._parameters
            if (value := flat.get(name, flat.get(f"{name}._target_"))) is not None
        }
        end = [_event(wall_time=self._now, summary=summary) for summary in self._hparams(parameters, metrics)]
        return [*end, _scalars(self._now, metrics)]

    def _curves(self, index: int) -> list[bytes]:
        """A member's curves, worked out with those that come after it."""
        if index not in self._blocks:
            lengths = self._trained.ledger.epochs
            together = [i for i in range(index, min(index + _TOGETHER, len(lengths))) if lengths[i] == lengths[index]]
            blocks = self._block(np.array(together), int(lengths[index]))
            self._blocks = {i: _in_order(blocks, place) for place, i in enumerate(together)}
        return self._blocks[index]

    def _block(self, members: np.ndarray, epochs: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Curves of members: at most so many points of each, and always the first and the last."""
        if not epochs:
            return []
        stride = -(-self._trained.cfg.trainer.max_epochs // self._most) if self._most else 1
        chosen = [epoch for epoch in range(1, epochs + 1) if epoch % stride == 0 or epoch in (1, epochs)]
        rows = np.array(chosen)
        values = np.stack([column[members[:, None], rows - 1] for column in self._columns.values()], axis=2)
        names = list(self._columns)
        seldom = np.array([name.startswith("val/") for name in names])
        cadence = self._trained.cfg.trainer.check_val_every_n_epoch or 1
        due = rows % cadence == 0 if seldom.any() else np.ones(len(rows), bool)
        written = []
        for who, which in ((due, np.ones(len(names), bool)), (~due, ~seldom)):
            if who.any():
                tags = [name for name, wanted in zip(names, which, strict=True) if wanted]
                numbers = values[:, who][:, :, which]
                written.append((rows[who], records.curves(rows[who], tags, numbers, self._now)))
        return written

    def _hparams(self, parameters: dict[str, Any], metrics: dict[str, float]) -> "list[Summary]":
        """The HPARAMS tab's three summaries; members that differ in numbers only share all but one."""
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        from torch.utils.tensorboard.summary import hparams

        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in parameters.items()}
        key = (tuple((name, type(value)) for name, value in plain.items()), tuple(metrics))
        if key not in self._summaries:
            self._summaries[key] = list(hparams(plain, metrics))
        experiment, start, end = self._summaries[key]
        content = start.value[0].metadata.plugin_data
        data = HParamsPluginData.FromString(content.content)
        for name, value in plain.items():
            field = "string_value" if isinstance(value, str) else "number_value"  # a bool is a number to torch
            setattr(data.session_start_info.hparams[name], field, value)
        content.content = data.SerializeToString()
        return [experiment, start, end]


def _in_order(blocks: list[tuple[np.ndarray, np.ndarray]], member: int) -> list[bytes]:
    """A member's records by epoch: TensorBoard takes a step back for a restart and drops what it knew."""
    if len(blocks) == 1:
        return [blocks[0][1][member].tobytes()]
    found: dict[int, bytes] = {}
    for epochs, records_ in blocks:
        found |= dict(
            zip(epochs.tolist(), (r.tobytes() for r in records_[member].reshape(len(epochs), -1)), strict=True)
        )
    return [found[epoch] for epoch in sorted(found)]


def _framed(ends: list[list[bytes]]) -> list[list[bytes]]:
    """The payloads of each member as records; equal payloads are worked out once."""
    different = list(dict.fromkeys(payload for payloads in ends for payload in payloads))
    framed = dict(zip(different, records.frame(different), strict=True))
    return [[framed[payload] for payload in payloads] for payloads in ends]


def _event(**fields: Any) -> bytes:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(**fields).SerializeToString()


def _scalars(now: float, figures: dict[str, float]) -> bytes:
    from tensorboard.compat.proto.summary_pb2 import Summary

    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
    return _event(wall_time=now, step=0, summary=Summary(value=values))
