"""A group of jobs that are trained as one, from their configurations to their run folders."""

import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from src.adapters.signals import asked
from src.config import build
from src.config.objective import objective
from src.config.resolvers import within
from src.config.values import Config, container
from src.config.yaml_files import dump, masked_yaml
from src.data.table import Table
from src.stacks.grouping import model
from src.stacks.job import Job
from src.stacks.members import checkpoint, write
from src.stacks.nets import nets_of
from src.stacks.stack import Group
from src.sweeping.pruning import pruner, prunes
from src.training.progress import StackProgress
from src.training.task import larger_is_better

if TYPE_CHECKING:
    from torch import nn

    from src.stacks.stack import Trained, Watch


def split(jobs: list[Job]) -> "list[tuple[list[Job], Table, list[nn.Module]]]":
    """Jobs that agree in everything but their nets, as groups whose nets fit a stack, each as a ``Group`` takes it.

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
    each = (*found, *others.values())
    return [([jobs[place] for place in places], rows, [nets[place] for place in places]) for places in each]


def run(group: Group, jobs: Sequence[Job], width: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Trains a group, so many at a time, and yields each job with its summary, once its folder is complete.

    Raises:
        UserError: something in the configuration cannot be built.
        KeyboardInterrupt: Ctrl-C, after everything was written.
    """
    progress = StackProgress(len(jobs), group.cfg.trainer.max_epochs, sys.stderr.isatty())
    files = HydraFiles()
    for trained in group.train(width, progress, _watch(jobs[0].base, group.cfg), partial(checkpoint, files=files)):
        interrupted = False
        for job, summary in write(trained, files):
            interrupted |= summary["status"] == "interrupted"
            if job.base.log:
                _write_log(job, summary, job.base.log, trained)
            yield job, summary
        if interrupted or asked():
            raise KeyboardInterrupt


def _watch(base: Any, cfg: Config) -> "Watch | None":
    """Who asks a study's pruner; None outside a durable sweep that has one."""
    config, aim, epochs = base.config, objective(cfg), cfg.trainer.max_epochs
    if not prunes(config.hydra):
        return None

    def watch(jobs: Sequence[Job]) -> Any:
        numbers = [job.number for job in jobs]
        return within(config, lambda: pruner(config.hydra, aim, larger_is_better(aim), epochs, numbers))

    return watch


class HydraFiles:
    """.hydra/ of a member."""

    def __init__(self) -> None:
        self._shared: dict[int, tuple[str, dict[str, Any]]] = {}
        self._texts: dict[tuple[str, str], str] = {}

    def __call__(self, job: Job) -> dict[str, str]:
        if id(job.base) not in self._shared:
            config = OmegaConf.masked_copy(job.base.config, "hydra")
            whole: Any = OmegaConf.to_container(config, enum_to_str=True)
            apart = {name: whole["hydra"].pop(name) for name in ("overrides", "job")}
            runtime = whole["hydra"].pop("runtime")
            del runtime["output_dir"]
            whole["hydra"]["runtime"] = runtime  # the last, so that each member's folder can follow
            self._shared[id(job.base)] = masked_yaml(dump(whole)), apart
        text, hydra = self._shared[id(job.base)]
        own = {
            "overrides": hydra["overrides"] | {"task": job.overrides},
            "job": hydra["job"] | {"id": str(job.number), "num": job.number},
        }
        folder = masked_yaml(dump({"output_dir": str(job.folder.path)}))
        return {
            ".hydra/config.yaml": "".join(self._text(*part) for part in container(job.cfg).items()),
            ".hydra/hydra.yaml": text + indent(indent(folder, "  ") + masked_yaml(dump(own)), "  "),
            ".hydra/overrides.yaml": masked_yaml(dump(job.overrides)),
        }

    def _text(self, name: str, value: Any) -> str:
        """A key and its value as YAML: most are alike in all members, and take long to write and to look through."""
        known = name, repr(value)
        if known not in self._texts:
            self._texts[known] = masked_yaml(dump({name: value}))
        return self._texts[known]


def _write_log(job: Job, summary: dict[str, Any], name: str, trained: "Trained") -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S,000")
    lines = [f"trained as one of {len(trained.ready)} jobs"] if len(trained.ready) > 1 else []
    if "message" in summary:
        lines.append(f"diverged: {summary['message']}")
    objective = summary["objective"]
    seconds = summary["seconds"]["total"]
    lines.append(f"{summary['status']}: {objective['name']} = {objective['value']:.6g} in {seconds:.2f} s")
    text = "".join(f"[{now}] INFO {__name__}: {line}\n" for line in lines)
    (job.folder.path / name).write_text(text, encoding="utf-8")
