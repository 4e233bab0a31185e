"""A group of jobs that are trained as one, from their configurations to their run folders."""

import sys
import time
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from src.config import build
from src.config.check import settle
from src.config.values import Values, container
from src.config.yaml_files import dump
from src.data.table import Table
from src.runs.folder import RunFolder
from src.stacks.compose import Composed, within
from src.stacks.grouping import model
from src.stacks.job import Job
from src.stacks.members import write
from src.stacks.nets import nets_of
from src.stacks.stack import Group
from src.sweeping.pruning import pruner, prunes
from src.training.progress import StackProgress
from src.training.stack import Alone
from src.training.task import larger_is_better

if TYPE_CHECKING:
    from torch import nn

    from src.stacks.stack import Trained, Watch


class ComposedGroup:
    """Jobs of one structure.

    Args:
        members: one without company needs neither rows nor nets.
        rows: what they learn from.
        nets: of each as it starts.
    """

    def __init__(self, members: list[Composed], rows: Table | None, nets: "list[nn.Module]") -> None:
        self.members, self._rows, self._nets = members, rows, nets
        self.width = 1
        self.interrupted = False
        self._composed = {each.number: each for each in members}
        self._hydras: dict[int, tuple[str, dict[str, Any]]] = {}

    def why_not(self, width: str | int) -> str | None:
        """Why they are better trained one by one; else makes them ready and chooses ``width``.

        Raises:
            UserError: the rows or the configuration do not fit.
        """
        assert self._rows is not None
        try:
            self._group = Group(self._rows, [job_of(each) for each in self.members], self._nets)
        except Alone as reason:
            return str(reason)
        self.width = self._group.width(width)
        return "one net keeps the processor busy, so a stack would gain nothing" if self.width == 1 else None

    def run(self) -> Iterator[tuple[Composed, dict[str, Any]]]:
        """Trains them and yields each with its summary, once its folder is complete.

        Raises:
            UserError: something in the configuration cannot be built.
        """
        epochs = self._group.cfg.trainer.max_epochs
        progress = StackProgress(len(self.members), epochs, sys.stderr.isatty())
        for trained in self._group.train(self.width, progress, self._watch()):
            for job, summary in write(trained, self._files):
                composed = self._composed[job.number]
                self.interrupted |= summary["status"] == "interrupted"
                if composed.structure.log:
                    _write_log(job, summary, composed.structure.log, trained)
                yield composed, summary
            if self.interrupted:
                return

    def _watch(self) -> "Watch | None":
        """Who asks a study's pruner; None outside a durable sweep that has one."""
        config, cfg = self.members[0].structure.config, self._group.cfg
        if not prunes(config.hydra):
            return None
        aim, epochs = build.objective(cfg), cfg.trainer.max_epochs

        def watch(jobs: Sequence[Job]) -> Any:
            numbers = [self._composed[job.number].trial for job in jobs]
            return within(config, lambda: pruner(config.hydra, aim, larger_is_better(aim), epochs, numbers))

        return watch

    def _files(self, job: Job) -> dict[str, str]:
        """.hydra/ of a member."""
        composed = self._composed[job.number]
        key = id(composed.structure)
        if key not in self._hydras:
            whole: Any = OmegaConf.to_container(
                OmegaConf.masked_copy(composed.structure.config, "hydra"), enum_to_str=True
            )
            apart = {name: whole["hydra"].pop(name) for name in ("overrides", "job", "runtime")}
            self._hydras[key] = dump(whole), apart  # most of it is alike in all, and much to write
        text, hydra = self._hydras[key]
        own = {
            "overrides": hydra["overrides"] | {"task": composed.task_overrides},
            "job": hydra["job"] | {"id": str(composed.number), "num": composed.number},
            "runtime": hydra["runtime"] | {"output_dir": str(composed.folder)},
        }
        return {
            ".hydra/config.yaml": dump(container(job.cfg)),
            ".hydra/hydra.yaml": text + indent(dump(own), "  "),
            ".hydra/overrides.yaml": dump(composed.task_overrides),
        }


def job_of(composed: Composed) -> Job:
    """A composed job, ready to be trained."""
    values, folder = Values.of(composed.task()), RunFolder(composed.folder)
    settle(values)
    return Job(composed.number, values, folder, composed.task_overrides)


def split(members: list[Composed]) -> list[ComposedGroup]:
    """Jobs that agree in everything but their nets, as groups whose nets fit a stack.

    Raises:
        UserError: the rows, or a net, cannot be made.
    """
    from src.data.encoder import Shape
    from src.training.chains import groups

    jobs = [job_of(each) for each in members]
    rows = build.table(jobs[0].cfg)
    nets = nets_of(Shape.of(rows.columns), jobs)
    found = groups(nets)
    chains = {place for places in found for place in places}
    others: dict[Any, list[int]] = {}
    for place, composed in enumerate(members):
        if place not in chains:
            # What is no chain may look at a whole batch, as BatchNorm does: it has to be of one size.
            others.setdefault((model(composed.flat), jobs[place].cfg.data.batch_size), []).append(place)
    return [
        ComposedGroup([members[place] for place in places], rows, [nets[place] for place in places])
        for places in (*found, *others.values())
    ]


def _write_log(job: Job, summary: dict[str, Any], name: str, trained: "Trained") -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S,000")
    lines = [f"trained as one of {len(trained.jobs)} jobs"]
    if "message" in summary:
        lines.append(f"diverged: {summary['message']}")
    objective = summary["objective"]
    seconds = summary["seconds"]["total"]
    lines.append(f"{summary['status']}: {objective['name']} = {objective['value']:.6g} in {seconds:.2f} s")
    text = "".join(f"[{now}] INFO {__name__}: {line}\n" for line in lines)
    (job.folder.path / name).write_text(text, encoding="utf-8")
