"""From a stack to the run folders of its members: checkpoints while it trains, and what they came to at its end."""

import copy
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from src.config import build
from src.runs.draw import curves
from src.runs.environment import environment
from src.runs.files import write_text
from src.runs.fit import finish
from src.runs.folder import run_command
from src.runs.outcome import Member, elapsed, summarize
from src.runs.reference import Reference
from src.stacks.going_on import source
from src.stacks.job import Job
from src.stacks.member_checkpoints import Checkpoints
from src.stacks.ready import Trained
from src.training.predictor import Predictor
from src.training.tensorboard import TensorBoard

Files = Callable[[Job], dict[str, str]]  # what else belongs in a member's folder, text by path relative to it


def checkpoint(trained: Trained, last: bool, files: Files) -> None:
    """Writes what a kill shall not cost: of who learns, rows and checkpoint; of who has ended, everything.

    Args:
        trained: the stack, in training.
        last: whether that is over. Where some checkpoints were written before, it was long, and ``write`` takes long
            enough for a kill: with these, what was not written by then comes to the same without any training.
        files: see ``write``.
    """
    history, epochs = trained.history, trained.module.epochs
    assert epochs is not None
    if history.over or epochs.losses or not epochs.whole or (last and trained.written in (0, history.length)):
        return  # the end writes it all; of an epoch that max_steps cut short there is no going on
    trained.seconds = elapsed(trained.started)
    epochs.snapshot(trained.trainer.global_step, history.first + history.length)
    folders = Folders(trained, files)
    for place in range(len(trained.ready)):
        if place not in trained.summaries:
            if history.stopped[place]:
                folders.end(place)
            else:
                folders.go_on(place)
    trained.written = history.length


def write(trained: Trained, files: Files) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Writes every member's folder and yields its summary, written last.

    Args:
        trained: the stack, at its end.
        files: what else belongs in a member's folder, text by path relative to it.
    """
    folders = Folders(trained, files)
    for place, each in enumerate(trained.ready):
        if place not in trained.summaries:
            folders.end(place)
        yield each.job, trained.summaries[place]


class Folders:
    """The run folders of a stack's members, at one moment; for arguments see ``write``."""

    def __init__(self, trained: Trained, files: Files) -> None:
        self._trained, self._files = trained, files
        self._table = trained.history.table(trained.written)
        self._checkpoints = Checkpoints(trained)
        self._references: dict[int, Reference] = {}
        self._nets: dict[int, nn.Module] = {}
        self._before = elapsed(trained.started) / len(trained.ready)

    def go_on(self, place: int) -> None:
        """Writes the rows of a member that still learns, and its checkpoint, which knows of them."""
        self._open(place)
        self._add_rows(place)
        self._checkpoints.write(place)

    def end(self, place: int) -> None:
        """Writes all that a member came to."""
        started = time.perf_counter()
        trained, history, ready = self._trained, self._trained.history, self._trained.ready[place]
        job, part = ready.job, ready.part
        self._open(place)
        fit, load = (each / len(trained.ready) for each in (trained.seconds, part.table.seconds))
        seconds = {"load": load, "fit": fit}
        command = run_command(job.overrides, swept=True)
        reference = self._references.setdefault(id(part), Reference(part))
        run = Member(place, job.cfg, command, job.overrides, job.folder, reference, self._surroundings, seconds)
        net = self._net(ready.net)
        summary = summarize(run, history, trained.module.stack, net)
        rows = self._add_rows(place)
        self._checkpoints.write(place)
        loggers = [copy.copy(logger) for logger in self._loggers]
        for logger in loggers:
            if isinstance(logger, TensorBoard):
                logger.bind(job.folder.path, curves(job.cfg, part))
                if history.first or trained.written:
                    rows = {name: np.array(values) for name, values in job.folder.read_metrics().items()}
                if rows:
                    logger.log_table(rows, job.cfg.trainer.max_epochs, last=True)
        finish(run, summary, Predictor(net, part.encoder, build.levels(job.cfg)), loggers, job.cfg.figures is True)
        took = self._before + elapsed(started)
        seconds |= {"write": took - fit, "total": load + took}
        job.folder.write_summary(summary, durable=False)  # thousands of members would wait for the disk one by one
        trained.summaries[place] = summary

    def _net(self, start: nn.Module) -> nn.Module:
        """A net of a member's form to put weights into: its own may be the start of others, in a later stack."""
        if id(start) not in self._nets:
            self._nets[id(start)] = copy.deepcopy(start)
        return self._nets[id(start)]

    def _open(self, place: int) -> None:
        """Makes a member's folder ready, once: for going on where it stands, or in the place of what was there."""
        trained, ready = self._trained, self._trained.ready[place]
        if place in trained.opened:
            return
        trained.opened.add(place)
        folder = ready.job.folder
        if ready.point and source(ready).path == folder.path:
            folder.reopen(trained.history.first)
        else:
            folder.clear(ready.job.overrides)
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        folder.config.parent.mkdir(exist_ok=True)
        for name, text in self._files(ready.job).items():
            write_text(folder.path / name, text)  # a torn one would not be known for ours

    def _add_rows(self, place: int) -> dict[str, np.ndarray]:
        """Brings those of a member's rows to metrics.csv that are not there yet, and gives them by column."""
        trained, history = self._trained, self._trained.history
        count = int(history.epochs[place]) - history.first - trained.written
        if count <= 0:  # as alone, who diverges in the first epoch has no rows
            return {}
        own = {name: values[:count, place] for name, values in self._table.items()}
        trained.ready[place].job.folder.append_metrics(own)
        return own

    @cached_property
    def _surroundings(self) -> dict[str, Any]:
        return environment(str(self._trained.trainer.strategy.root_device), self._trained.threads)

    @cached_property
    def _loggers(self) -> list[Any]:
        """Equal in all members."""
        nodes = self._trained.ready[0].job.cfg.logger or {}
        return [build.construct(node, f"logger.{name}") for name, node in nodes.items()]
