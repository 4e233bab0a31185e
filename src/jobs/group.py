"""A group of jobs that are trained as one, from their configurations to their run folders."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from src import build
from src.jobs.compose import Composed, within
from src.jobs.ingredients import Job
from src.jobs.prune import Pruner
from src.jobs.stack import device_of, train, widths
from src.results.folder import RunFolder
from src.results.metrics import larger_is_better
from src.results.templates import Template, scalar
from src.sweeping.pruning import every, prunes, trials

if TYPE_CHECKING:
    from src.jobs.stack import Trained, Watch

log = logging.getLogger(__name__)


class Group:
    """Jobs of one structure.

    Args:
        members: at least two.
    """

    def __init__(self, members: list[Composed]) -> None:
        self.members = members
        self.width = 1
        self.interrupted = False
        self._cfg = OmegaConf.create(members[0].task())
        self._texts: dict[int, _Texts] = {}

    def why_not(self, width: str | int) -> str | None:
        """Why they are better trained one by one; else reads the rows and chooses ``width``.

        Raises:
            UserError: the rows or the configuration do not fit.
        """
        if reason := build.why_plain(self._cfg):
            return reason
        if self._cfg.model.get("dropout") and device_of(self._cfg) != "cpu":
            return "dropout on a GPU draws other masks in a stack than alone"
        self._rows = build.table(self._cfg)
        self._jobs = [Job(each.number, each.flat, RunFolder(each.folder), each.task_overrides) for each in self.members]
        self.width = widths(self._cfg, self._rows, self._jobs, width)
        if self.width == 1:
            return "one net keeps the processor busy, so a stack would gain nothing"
        return None

    def run(self) -> Iterator[tuple[Composed, dict[str, Any]]]:
        """Trains them and yields each with its summary, once its folder is complete.

        Raises:
            UserError: something in the configuration cannot be built.
        """
        from src.jobs.members import finish
        from src.stacking.progress import StackProgress

        composed = {each.number: each for each in self.members}
        progress = StackProgress(len(self._jobs), self._cfg.trainer.max_epochs, sys.stderr.isatty())
        for trained in train(self._cfg, self._rows, self._jobs, self.width, progress, self._watch()):
            for job in trained.jobs:
                job.folder.clear()
            for job, summary in finish(trained, lambda job: self._files(composed[job.number])):
                self.interrupted |= summary["status"] == "interrupted"
                if log_name := composed[job.number].structure.log:
                    self._write_log(job, summary, log_name, trained)
                yield composed[job.number], summary
            if self.interrupted:
                return

    def _watch(self) -> "Watch | None":
        """Who asks a study's pruner; None outside a durable sweep that has one."""
        composed = {each.number: each for each in self.members}
        config = self.members[0].structure.config
        if not prunes(config.hydra):
            return None
        aim, epochs = build.objective(self._cfg), self._cfg.trainer.max_epochs

        def watch(jobs: "Sequence[Job]") -> Pruner:
            numbers = [composed[job.number].trial for job in jobs]
            found = within(config, lambda: trials(config.hydra, numbers))
            return Pruner(found, aim, larger_is_better(aim), every(config.hydra, epochs))

        return watch

    def _files(self, composed: Composed) -> dict[str, str]:
        """.hydra/ of a member."""
        key = id(composed.structure)
        if key not in self._texts:
            self._texts[key] = _Texts(composed)
        return self._texts[key].files(composed)

    def _write_log(self, job: Job, summary: dict[str, Any], name: str, trained: "Trained") -> None:
        now = time.strftime("%Y-%m-%d %H:%M:%S,000")
        lines = [
            f"trained as one of {len(trained.jobs)} (jobs #{trained.jobs[0].number} to #{trained.jobs[-1].number})"
        ]
        if "message" in summary:
            lines.append(f"diverged: {summary['message']}")
        objective = summary["objective"]
        seconds = summary["seconds"]["total"]
        lines.append(f"{summary['status']}: {objective['name']} = {objective['value']:.6g} in {seconds:.2f} s")
        text = "".join(f"[{now}] INFO {__name__}: {line}\n" for line in lines)
        (job.folder.path / name).write_text(text, encoding="utf-8")


class _Texts:
    """The files of .hydra/ for jobs of one structure."""

    def __init__(self, composed: Composed) -> None:
        structure = composed.structure
        self._config = Template(structure.task, structure.keys)
        hydra: Any = OmegaConf.to_container(OmegaConf.masked_copy(structure.config, "hydra"))
        self._count = len(composed.task_overrides)
        hydra["hydra"]["overrides"]["task"] = list(composed.task_overrides)
        self._overrides = [f"hydra.overrides.task.{index}" for index in range(self._count)]
        holes = ["hydra.job.id", "hydra.job.num", "hydra.runtime.output_dir", *self._overrides]
        self._hydra = Template(hydra, holes)

    def files(self, composed: Composed) -> dict[str, str]:
        """config.yaml, hydra.yaml and overrides.yaml of a job, by path."""
        overrides = composed.task_overrides
        values = dict(zip(self._overrides, overrides, strict=True))
        values |= {"hydra.job.id": str(composed.number), "hydra.runtime.output_dir": str(composed.folder)}
        listed = "".join(f"- {scalar(text)}\n" for text in overrides) or "[]\n"
        return {
            ".hydra/config.yaml": self._config.fill(composed.values),
            ".hydra/hydra.yaml": self._hydra.fill({"hydra.job.num": composed.number, **values}),
            ".hydra/overrides.yaml": listed,
        }
