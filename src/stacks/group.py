"""A group of jobs that are trained as one, from their configurations to their run folders."""

import sys
import time
from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from src.config import build
from src.config.resolvers import within
from src.config.values import container
from src.config.yaml_files import dump
from src.data.table import Table
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


class JobGroup:
    """Jobs of one structure, as Hydra composed them.

    Args:
        jobs: one without company needs neither rows nor nets.
        rows: what they learn from.
        nets: of each as it starts.
    """

    def __init__(self, jobs: list[Job], rows: Table | None, nets: "list[nn.Module]") -> None:
        self.jobs, self._rows, self._nets = jobs, rows, nets
        self.width = 1
        self.interrupted = False
        self._hydras: dict[int, tuple[str, dict[str, Any]]] = {}

    def why_not(self, width: str | int) -> str | None:
        """Why they are better trained one by one; else makes them ready and chooses ``width``.

        Raises:
            UserError: the rows or the configuration do not fit.
        """
        assert self._rows is not None
        try:
            self._group = Group(self._rows, self.jobs, self._nets)
        except Alone as reason:
            return str(reason)
        self.width = self._group.width(width)
        return "one net keeps the processor busy, so a stack would gain nothing" if self.width == 1 else None

    def run(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """Trains them and yields each with its summary, once its folder is complete.

        Raises:
            UserError: something in the configuration cannot be built.
        """
        progress = StackProgress(len(self.jobs), self._group.cfg.trainer.max_epochs, sys.stderr.isatty())
        for trained in self._group.train(self.width, progress, self._watch()):
            for job, summary in write(trained, self._files):
                self.interrupted |= summary["status"] == "interrupted"
                if job.base and job.base.log:
                    _write_log(job, summary, job.base.log, trained)
                yield job, summary
            if self.interrupted:
                return

    def _watch(self) -> "Watch | None":
        """Who asks a study's pruner; None outside a durable sweep that has one."""
        base, cfg = self.jobs[0].base, self._group.cfg
        if base is None or not prunes(base.config.hydra):
            return None
        config, aim, epochs = base.config, build.objective(cfg), cfg.trainer.max_epochs

        def watch(jobs: Sequence[Job]) -> Any:
            numbers = [job.number for job in jobs]
            return within(config, lambda: pruner(config.hydra, aim, larger_is_better(aim), epochs, numbers))

        return watch

    def _files(self, job: Job) -> dict[str, str]:
        """.hydra/ of a member."""
        assert job.base is not None
        if id(job.base) not in self._hydras:
            config = OmegaConf.masked_copy(job.base.config, "hydra")
            whole: Any = OmegaConf.to_container(config, enum_to_str=True)
            apart = {name: whole["hydra"].pop(name) for name in ("overrides", "job", "runtime")}
            self._hydras[id(job.base)] = dump(whole), apart  # most of it is alike in all, and much to write
        text, hydra = self._hydras[id(job.base)]
        own = {
            "overrides": hydra["overrides"] | {"task": job.overrides},
            "job": hydra["job"] | {"id": str(job.number), "num": job.number},
            "runtime": hydra["runtime"] | {"output_dir": str(job.folder.path)},
        }
        return {
            ".hydra/config.yaml": dump(container(job.cfg)),
            ".hydra/hydra.yaml": text + indent(dump(own), "  "),
            ".hydra/overrides.yaml": dump(job.overrides),
        }


def split(jobs: list[Job]) -> list[JobGroup]:
    """Jobs that agree in everything but their nets, as groups whose nets fit a stack.

    Raises:
        UserError: the rows, or a net, cannot be made.
    """
    from src.data.encoder import Shape
    from src.training.chains import groups

    rows = build.table(jobs[0].cfg)
    nets = nets_of(Shape.of(rows.columns), jobs)
    found = groups(nets)
    chains = {place for places in found for place in places}
    others: dict[Any, list[int]] = {}
    for place, job in enumerate(jobs):
        if place not in chains:
            # What is no chain may look at a whole batch, as BatchNorm does: it has to be of one size.
            others.setdefault((model(job.flat), job.cfg.data.batch_size), []).append(place)
    return [
        JobGroup([jobs[place] for place in places], rows, [nets[place] for place in places])
        for places in (*found, *others.values())
    ]


def _write_log(job: Job, summary: dict[str, Any], name: str, trained: "Trained") -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S,000")
    lines = [f"trained as one of {len(trained.jobs)} jobs"] if len(trained.jobs) > 1 else []
    if "message" in summary:
        lines.append(f"diverged: {summary['message']}")
    objective = summary["objective"]
    seconds = summary["seconds"]["total"]
    lines.append(f"{summary['status']}: {objective['name']} = {objective['value']:.6g} in {seconds:.2f} s")
    text = "".join(f"[{now}] INFO {__name__}: {line}\n" for line in lines)
    (job.folder.path / name).write_text(text, encoding="utf-8")
