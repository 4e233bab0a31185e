"""A batch of jobs from a sweeper: those of one structure as one training, the others one by one."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.adapters.hydra_compose import number_job, written_pattern
from src.adapters.lightning_import import import_lightning
from src.config.check import check, settle
from src.config.values import container
from src.errors import UserError, first_line, refuse
from src.stacks.compose import Composer, Failure
from src.stacks.grouping import differing, structure, why_alone
from src.stacks.job import Job
from src.stacks.workers import Jobs, Orders, count, cut, orders_of, spread
from src.sweeping.subdir import check_subdir
from src.training.task import objectives_of

if TYPE_CHECKING:
    from torch import nn

    from src.data.table import Table

    Groups = list[tuple[list[Job], Table, list[nn.Module]]]

log = logging.getLogger(__name__)

_DOOR = Path(__file__).parents[1] / "train.py"


class Launch:
    """One call of a ``StackedLauncher``."""

    def __init__(self, launcher: Any) -> None:
        self._context, self._task = launcher.hydra_context, launcher.task_function
        self._config, self._width, self._workers = launcher.config, launcher.width, launcher.workers
        if self._workers:
            self._ray, self._orders = launcher.ray, orders_of(launcher)
        self._composer = Composer(self._context.config_loader, self._config)
        self._returns: dict[int, JobReturn] = {}
        self._observed = any(
            getattr(type(each), hook.__name__, hook) is not hook
            for each in self._context.callbacks.callbacks
            for hook in (Callback.on_job_start, Callback.on_job_end)
        )

    def run(self, jobs: Jobs) -> dict[int, JobReturn]:
        """Runs jobs by their numbers, and returns what each came to."""
        setup_globals()
        self._log_here()
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        reason = self._why_none()
        how = f", one by one: {reason}" if reason else ""
        where = (
            f"by {self._workers} workers" if isinstance(self._workers, int) else f"by {self._workers or 'this process'}"
        )
        log.info("Launching %d job%s %s%s", len(jobs), "s" * (len(jobs) > 1), where, how)
        groups: Groups = [] if reason or len(jobs) == 1 else self._groups(jobs)
        if self._workers:
            self._spread(jobs, groups)
            return self._returns
        for group in groups:
            self._stack(*group)
        for number in sorted(jobs.keys() - self._returns.keys()):
            self._alone(number, jobs[number])
        return self._returns

    def _spread(self, jobs: Jobs, groups: "Groups") -> None:
        """Has other processes do it, a stack each or a job that fits none."""
        numbers = [[job.number for job in group[0]] for group in groups]
        others = sorted(jobs.keys() - {number for group in numbers for number in group})
        pieces = cut(numbers, others, count(self._workers, self._ray))
        work = [{number: jobs[number] for number in piece} for piece in pieces]
        self._returns = spread(self._workers, self._ray, _in_worker, self._orders, work)

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

    def _groups(self, jobs: Jobs) -> "Groups":
        """Jobs that can be trained as one; says why the others are left out, a line each reason."""
        import_lightning()  # before what imports it by its name alone
        from src.stacks.group import split

        found: dict[Any, list[Job]] = {}
        left: dict[str, list[int]] = {}
        composed = self._composer.compose(jobs)
        self._check_folders([job for job in composed.values() if isinstance(job, Job)])
        for number, job in composed.items():
            if reason := _why_alone(job):
                left.setdefault(reason, []).append(number)
            elif isinstance(job, Job):
                found.setdefault(structure(job.flat), []).append(job)
        groups = []
        for jobs_alike in found.values():
            try:
                apart = split(jobs_alike) if len(jobs_alike) > 1 else []
            except Exception as error:
                # Whatever it is, a job that runs alone says it in full.
                left.setdefault(_said(error), []).extend(job.number for job in jobs_alike)
                continue
            together = [group for group in apart if len(group[0]) > 1]
            groups += together
            stacked = {job.number for group in together for job in group[0]}
            if without := [job.number for job in jobs_alike if job.number not in stacked]:
                left.setdefault("no other job has its structure", []).extend(without)
        for reason, numbers in left.items():
            log.info("one by one: %s: %s", _numbers(numbers), reason)
        return groups

    def _check_folders(self, jobs: list[Job]) -> None:
        sweep = Path(str(self._config.hydra.sweep.dir)).absolute()
        try:
            check_subdir(written_pattern(self._config), [os.path.relpath(job.folder.path, sweep) for job in jobs])
        except UserError as error:
            refuse(error)

    def _stack(self, jobs: list[Job], rows: "Table", nets: "list[nn.Module]") -> None:
        """Trains a group as one; those that it cannot serve are left for ``_alone``."""
        from src.stacks.group import run
        from src.stacks.stack import Group
        from src.training.stack import Alone

        what = ", ".join(differing([job.flat for job in jobs])[:6]) or "nothing"
        try:
            group = Group(rows, jobs, nets)
            width = group.width(self._width)
            if width == 1:
                raise Alone("one net keeps the processor busy, so a stack would gain nothing")
            stacks = -(-len(jobs) // width)
            parts = "one stack" if stacks == 1 else f"{stacks} stacks of at most {width}"
            log.info("as %s: %d jobs that differ in %s", parts, len(jobs), what)
            started = time.monotonic()
            for job, summary in run(group, jobs, width):
                self._returns[job.number] = self._return(job, summary)
            log.info("%d jobs in %.1f s", len(jobs), time.monotonic() - started)
        except Alone as reason:
            log.info("one by one: %s: %s", _numbers([job.number for job in jobs]), reason)
        except Exception as error:
            # Whatever it is, it must not cost the sweep: the jobs that it cut off run alone, as without this launcher.
            cut_off = [job.number for job in jobs if job.number not in self._returns]
            shown = os.environ.get("HYDRA_FULL_ERROR") == "1"
            log.warning("one by one: %s: %s", _numbers(cut_off), _said(error), exc_info=shown)

    def _return(self, job: Job, summary: dict[str, Any]) -> JobReturn:
        found = MemberReturn(
            overrides=job.overrides,
            working_dir=str(Path.cwd()),
            task_name=str(self._config.hydra.job.name),
            status=JobStatus.COMPLETED,
        )
        found.job = job
        values = list(objectives_of(summary).values())
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
        self._log_here()

    def _log_here(self) -> None:
        """Log lines go where the sweep's go; a job has its own file."""
        hydra, allowed = self._config.hydra, self._context.execution_whitelist
        configure_log(hydra.hydra_logging, hydra.verbose, execution_whitelist=allowed)


def _in_worker(orders: Orders, jobs: Jobs) -> dict[int, JobReturn]:
    orders.settle()
    return Launch(orders).run(jobs)


class MemberReturn(JobReturn):
    """A member's JobReturn; its configurations are composed when somebody looks at them."""

    job: Job

    def whole(self) -> DictConfig:
        """The member's whole configuration, with its folder."""
        assert self.job.base is not None
        return self.job.base.whole(self.job)

    # The setters do nothing: Hydra's dataclass starts both at None.
    cfg = property(lambda self: OmegaConf.create(container(self.job.cfg)), lambda self, value: None)
    hydra_cfg = property(lambda self: OmegaConf.masked_copy(self.whole(), "hydra"), lambda self, value: None)


def _said(error: Exception) -> str:
    """An error in one line."""
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def _why_alone(job: Job | Failure) -> str | None:
    """Why a job cannot be a member of a stack; one that runs alone says in full what is wrong with it."""
    if isinstance(job, Job):
        try:
            settle(job.cfg)
            if reason := why_alone(job.flat, job.cfg):
                return reason
            check(job.cfg)
            return None
        except UserError as error:
            return first_line(error)
        except KeyError:
            pass
    return "its configuration does not compose as a training"


def _numbers(numbers: Sequence[int]) -> str:
    """Job numbers in few words."""
    shown = ", ".join(f"#{number}" for number in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
