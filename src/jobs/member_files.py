"""Checkpoints and event files of a stack's members: what a lone run writes, from arrays."""

import socket
import time
from os import getpid
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from src.jobs.draw import flat
from src.jobs.stack import Trained
from src.results import records
from src.stacking.nets import unflat
from src.stacking.schedules import Plateau, Sequences
from src.training.checkpoints import save

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
        self._trained = trained
        self._chosen = chosen
        whole = trained.trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        self._whole = {key: value for key, value in whole.items() if key != "StackData"}
        self._prefix = "" if trained.cfg.model._target_.endswith(".Scratch") else "net."
        self._place = {int(member): place for place, member in enumerate(trained.ledger.present)}

    def write(self, index: int) -> None:
        """Writes both files of a member."""
        trained, ledger = self._trained, self._trained.ledger
        assert ledger.last is not None
        encoder = trained.parts[index].encoder.state_dict()
        where = {"epoch": int(ledger.epochs[index]), "global_step": int(ledger.steps[index])}
        last = self._whole | where | {"DataModule": encoder, "state_dict": self._weights(ledger.last[index])}
        if self._prefix:
            last |= {"optimizer_states": [self._optimizer(index)], "lr_schedulers": self._schedulers(index)}
        folder = trained.jobs[index].folder.checkpoints
        save(last, folder / "last.ckpt")
        best = {"pytorch-lightning_version": last["pytorch-lightning_version"], "DataModule": encoder} | where
        if ledger.best_epoch[index]:
            best |= {"epoch": int(ledger.best_epoch[index]), "global_step": int(ledger.best_step[index])}
        best["state_dict"] = self._weights(self._chosen[index])
        save(best, folder / "best.ckpt")

    def _weights(self, row: Tensor) -> dict[str, Tensor]:
        parts = unflat(row, self._trained.shapes)
        return {self._prefix + name: tensor for name, tensor in parts.items()}

    def _optimizer(self, index: int) -> dict[str, Any]:
        """torch's ``state_dict`` of the member's optimizer; without buffers for one that left the stack."""
        import torch

        trained, rule = self._trained, self._trained.module.rule
        shapes = trained.shapes
        schedule = trained.module.schedule
        if isinstance(schedule, Sequences):
            group = dict(schedule.groups[index])
        else:
            group = dict(
                trained.optimizers[index]([torch.zeros(1, requires_grad=True)]).state_dict()["param_groups"][0]
            )
            if isinstance(schedule, Plateau) and index in self._place:
                group["lr"] = float(schedule.lr[self._place[index]])
        group["params"] = list(range(len(shapes)))
        state: dict[int, dict[str, Any]] = {}
        if index in self._place and rule.state:
            rows = {name: unflat(values[self._place[index]].cpu(), shapes) for name, values in rule.state.items()}
            for number, name in enumerate(shapes):
                state[number] = {} if set(rows) == {"momentum_buffer"} else {"step": torch.tensor(float(rule.steps))}
                state[number] |= {buffer: parts[name] for buffer, parts in rows.items()}
        return {"state": state, "param_groups": [group]}

    def _schedulers(self, index: int) -> list[dict[str, Any]]:
        schedule = self._trained.module.schedule
        if isinstance(schedule, Sequences):
            return [schedule.states[index]]
        if isinstance(schedule, Plateau) and index in self._place:
            return [schedule.state(self._place[index], int(self._trained.ledger.epochs[index]))]
        return []


class Events:
    """Event files: curves, hyperparameters and final figures.

    Args:
        trained: the stack.
        columns: curves (epochs, members) by name.
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
        values = np.stack([column[rows[:, None] - 1, members] for column in self._columns.values()], axis=2)
        names = list(self._columns)
        seldom = np.array([name.startswith("val/") for name in names])
        cadence = self._trained.cfg.trainer.check_val_every_n_epoch or 1
        due = rows % cadence == 0 if seldom.any() else np.ones(len(rows), bool)
        written = []
        for who, which in ((due, np.ones(len(names), bool)), (~due, ~seldom)):
            if who.any():
                tags = [name for name, wanted in zip(names, which, strict=True) if wanted]
                numbers = np.moveaxis(values[who][:, :, which], 0, 1)
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
