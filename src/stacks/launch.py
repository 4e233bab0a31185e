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
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from src.adapters.hydra_compose import number_job
from src.adapters.lightning_import import import_lightning
from src.config.check import check, settle
from src.config.values import Values
from src.errors import UserError, first_line
from src.stacks.compose import Composed, Composer
from src.stacks.grouping import differing, structure, why_alone
from src.training.task import objectives_of

if TYPE_CHECKING:
    from src.stacks.group import ComposedGroup

log = logging.getLogger(__name__)

_DOOR = Path(__file__).parents[1] / "train.py"


class Launch:
    """One call of a ``StackedLauncher``."""

    def __init__(self, launcher: Any) -> None:
        self._context, self._task = launcher.hydra_context, launcher.task_function
        self._config, self._width = launcher.config, launcher.width
        self._composer = Composer(self._context.config_loader, self._config)
        self._returns: dict[int, JobReturn] = {}
        self._observed = any(
            getattr(type(each), hook.__name__, hook) is not hook
            for each in self._context.callbacks.callbacks
            for hook in (Callback.on_job_start, Callback.on_job_end)
        )

    def run(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        """Runs all jobs as ``Launcher.launch`` does and returns what each came to, in their order."""
        setup_globals()
        self._log_here()
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        jobs = {first + place: list(each) for place, each in enumerate(overrides)}
        reason = self._why_none()
        log.info("Launching %d jobs locally%s", len(jobs), f", one by one: {reason}" if reason else "")
        for group in [] if reason else self._groups(jobs):
            self._stack(group)
        for number in sorted(jobs.keys() - self._returns.keys()):
            self._alone(number, jobs[number])
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
        from src.stacks.group import split

        import_lightning()  # which of torch's optimizers can be stacked, torch knows
        found: dict[Any, list[Composed]] = {}
        left: dict[str, list[int]] = {}
        for number, overrides in jobs.items():
            try:
                composed = self._composer.compose(number, overrides)
                cfg = Values.of(composed.task())
                settle(cfg)
                reason = why_alone(composed.flat, cfg) or _complaint(cfg)
            except (HydraException, KeyError, UserError):
                left.setdefault("its configuration does not compose as a training", []).append(number)
                continue
            if reason:
                left.setdefault(reason, []).append(number)
            else:
                found.setdefault(structure(composed.flat), []).append(composed)
        groups: list[ComposedGroup] = []
        for members in found.values():
            try:
                apart = split(members) if len(members) > 1 else []
            except Exception as error:
                # Whatever it is, a job that runs alone says it in full.
                left.setdefault(_said(error), []).extend(each.number for each in members)
                continue
            groups += [group for group in apart if len(group.members) > 1]
            stacked = {member.number for group in groups for member in group.members}
            if without := [each.number for each in members if each.number not in stacked]:
                left.setdefault("no other job has its structure", []).extend(without)
        for reason, numbers in left.items():
            log.info("one by one: %s: %s", _numbers(numbers), reason)
        return groups

    def _stack(self, group: "ComposedGroup") -> None:
        """Trains a group as one; those that it cannot serve are left for ``_alone``."""
        members = group.members
        what = ", ".join(differing([m.flat for m in members])[:6]) or "nothing"
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
            working_dir=str(Path.cwd()),
            task_name=str(self._config.hydra.job.name),
            status=JobStatus.COMPLETED,
        )
        found.composed = composed
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


class MemberReturn(JobReturn):
    """A member's JobReturn; its configurations are composed when somebody looks at them."""

    composed: Composed

    def whole(self) -> DictConfig:
        """The member's whole configuration, with its folder."""
        config = self.composed.config()
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(self.composed.folder)
        return config

    # The setters do nothing: Hydra's dataclass starts both at None.
    cfg = property(lambda self: OmegaConf.create(self.composed.task()), lambda self, value: None)
    hydra_cfg = property(lambda self: OmegaConf.masked_copy(self.whole(), "hydra"), lambda self, value: None)


def _said(error: Exception) -> str:
    """An error in one line."""
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def _complaint(cfg: Values) -> str | None:
    """What is wrong with a job's values; a job that runs alone says it in full."""
    try:
        check(cfg)
    except UserError as error:
        return first_line(error)
    return None


def _numbers(numbers: Sequence[int]) -> str:
    """Job numbers in few words."""
    shown = ", ".join(f"#{number}" for number in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} and {len(numbers) - 5} more"
