"""A batch of jobs from a sweeper: those of one structure as one training, the others one by one."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from src.errors import UserError
from src.jobs.compose import Composed, Composer, number_job
from src.jobs.grouping import differing, structure, why_alone
from src.jobs.imports import import_lightning
from src.training.task import direction_of, rankable
from src.values import Values

if TYPE_CHECKING:
    from src.jobs.group import ComposedGroup

log = logging.getLogger(__name__)

_DOOR = Path(__file__).parents[1] / "train.py"


class Launch:
    """One call of the launcher.

    Args:
        context, task, config: as Hydra hands them to a launcher.
        width: most members of a stack, or ``auto``.
    """

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig, width: str | int) -> None:
        self._context = context
        self._task = task
        self._config = config
        self._width = width
        self._composer = Composer(context.config_loader, config)
        self._returns: dict[int, JobReturn] = {}
        self._where, self._name = str(Path.cwd()), str(config.hydra.job.name)
        hooks = (Callback.on_job_start, Callback.on_job_end)
        self._observed = any(
            getattr(type(each), hook.__name__, hook) is not hook
            for each in context.callbacks.callbacks
            for hook in hooks
        )

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Runs all jobs and returns what each came to, in their order."""
        jobs = {first + place: list(each) for place, each in enumerate(overrides)}
        alone = jobs
        if reason := self._why_none():
            log.info("Launching %d jobs locally, one by one: %s", len(jobs), reason)
        else:
            log.info("Launching %d jobs locally", len(jobs))
            for group in self._groups(jobs):
                self._stack(group)
            alone = {number: each for number, each in jobs.items() if number not in self._returns}
        for number, each in alone.items():
            self._alone(number, each)
        return [self._returns[number] for number in jobs]

    def _why_none(self) -> str | None:
        """Why no job of this sweep can be stacked."""
        code = getattr(self._task, "__code__", None)
        if code is None or Path(code.co_filename).resolve() != _DOOR:
            return "only src.train has stacked runs"
        hydra = self._config.hydra
        if hydra.output_subdir != ".hydra":
            return f"hydra.output_subdir={hydra.output_subdir}"
        if hydra.job.chdir:
            return "hydra.job.chdir=true"
        if hydra.job.env_set:
            return "hydra.job.env_set changes the environment of each job"
        return None

    def _groups(self, jobs: dict[int, list[str]]) -> "list[ComposedGroup]":
        """Jobs that can be trained as one; says why the others are left out, a line each reason."""
        import_lightning()  # which of torch's optimizers can be stacked, torch knows
        found: dict[Any, list[Composed]] = {}
        left: dict[str, list[int]] = {}
        for number, overrides in jobs.items():
            try:
                composed = self._composer.compose(number, overrides)
                reason = why_alone(composed.flat, Values.of(composed.task())) or _complaint(composed)
            except (HydraException, KeyError):
                left.setdefault("its configuration does not compose as a training", []).append(number)
                continue
            if reason:
                left.setdefault(reason, []).append(number)
            else:
                found.setdefault(structure(composed.flat), []).append(composed)
        groups: list[ComposedGroup] = []
        for members in found.values():
            try:
                apart = _split(members)
            except Exception as error:
                # Whatever it is, a job that runs alone says it in full.
                left.setdefault(_said(error), []).extend(each.number for each in members)
                continue
            groups += [group for group in apart if len(group.members) > 1]
            for group in apart:
                if len(group.members) == 1:
                    left.setdefault("no other job has its structure", []).append(group.members[0].number)
        for reason, numbers in left.items():
            log.info("one by one: %s: %s", _numbers(numbers), reason)
        return groups

    def _stack(self, group: "ComposedGroup") -> None:
        """Trains a group as one; those that it cannot serve are left for ``_alone``."""
        members = group.members
        varied = differing([m.flat for m in members])
        what = ", ".join(varied[:6]) or "nothing"
        try:
            if reason := group.why_not(self._width):
                log.info("one by one: %s: %s", _numbers([m.number for m in members]), reason)
                return
            width = group.width
            stacks = -(-len(members) // width)
            parts = "one stack" if stacks == 1 else f"{stacks} stacks of at most {width}"
            log.info("as %s: %d jobs that differ in %s", parts, len(members), what)
            started = time.monotonic()
            for composed, summary in group.run():
                self._returns[composed.number] = self._return(composed, summary)
            log.info("%d jobs in %.1f s", len(members), time.monotonic() - started)
        except Exception as error:
            # Whatever it is, it must not cost the sweep: the jobs that it cut off run alone, as without this launcher.
            cut = [m.number for m in members if m.number not in self._returns]
            shown = os.environ.get("HYDRA_FULL_ERROR") == "1"
            log.warning("one by one: %s: %s", _numbers(cut), _said(error), exc_info=shown)
        if group.interrupted:
            raise KeyboardInterrupt

    def _return(self, composed: Composed, summary: dict[str, Any]) -> JobReturn:
        found = MemberReturn(
            overrides=composed.task_overrides,
            working_dir=self._where,
            task_name=self._name,
            status=JobStatus.COMPLETED,
        )
        found.composed, found.folder = composed, composed.folder
        parts = summary.get("objectives") or [summary["objective"]]
        values = [rankable(part["value"], direction_of(part["name"])) for part in parts]
        found.return_value = values if len(values) > 1 else values[0]
        if self._observed:
            config = found.whole()
            self._context.callbacks.on_job_start(config=config, task_function=self._task)
            self._context.callbacks.on_job_end(config=config, job_return=found)
        return found

    def _alone(self, number: int, overrides: list[str]) -> None:
        """A job the way of Hydra's own basic launcher."""
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = self._context.config_loader.load_sweep_config(self._config, overrides)
        number_job(config, number)
        self._returns[number] = run_job(
            hydra_context=self._context,
            task_function=self._task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        _log_as(self._config, self._context)


class MemberReturn(JobReturn):
    """A member's JobReturn; its configurations are composed when somebody looks at them."""

    composed: Composed
    folder: Path

    def whole(self) -> DictConfig:
        """The member's whole configuration, with its folder."""
        config = self.composed.config()
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(self.folder)
        return config

    @property
    def cfg(self) -> DictConfig:
        """The task part."""
        return OmegaConf.create(self.composed.task())

    @cfg.setter
    def cfg(self, value: Any) -> None:
        """Nothing: Hydra's dataclass starts it at None."""

    @property
    def hydra_cfg(self) -> DictConfig:
        """Hydra's part."""
        return OmegaConf.masked_copy(self.whole(), "hydra")

    @hydra_cfg.setter
    def hydra_cfg(self, value: Any) -> None:
        """Nothing, likewise."""


def _split(members: list[Composed]) -> "list[ComposedGroup]":
    """Groups whose nets fit a stack; a job without company need not be looked at."""
    from src.jobs.group import ComposedGroup, split

    return split(members) if len(members) > 1 else [ComposedGroup(members, None, [])]


def _said(error: Exception) -> str:
    """An error in one line."""
    said = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return said + next(iter(str(error).splitlines()), "")


def _complaint(composed: Composed) -> str | None:
    """What is wrong with a job's values; a job that runs alone says it in full."""
    try:
        composed.check()
    except UserError as error:
        return str(error).splitlines()[0]
    return None


def _numbers(numbers: Sequence[int]) -> str:
    """Job numbers in few words."""
    shown = ", ".join(f"#{number}" for number in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"


def _log_as(config: DictConfig, context: HydraContext) -> None:
    """Log lines go where the sweep's go; a job has its own file."""
    configure_log(config.hydra.hydra_logging, config.hydra.verbose, execution_whitelist=context.execution_whitelist)


def launch(
    context: HydraContext,
    task: TaskFunction,
    config: DictConfig,
    width: str | int,
    overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Runs a batch of jobs as ``Launcher.launch`` does."""
    setup_globals()
    _log_as(config, context)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    return Launch(context, task, config, width).run(overrides, first)
