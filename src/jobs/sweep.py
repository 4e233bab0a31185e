"""Runs a sweep: asks the durable study for trials, launches them, tells it what came out."""

import errno
import logging
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from src.errors import UserError
from src.results.folder import RunFolder
from src.results.lock import claimed
from src.results.status import DIVERGED, PRUNED, has_result
from src.sweeping.plan import Plan
from src.sweeping.progress import Progress
from src.sweeping.pruning import NUMBER
from src.sweeping.study import DurableStudy

if TYPE_CHECKING:
    from optuna.trial import Trial

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FIRST = 3  # trials that count as the first batch where they run one by one


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: its state for Optuna, its values, and what is noted beside it."""

    state: str
    values: list[float] | None
    notes: dict[str, Any]


class Sweep:
    """The loop of one process. Several may run on one study; none waits for another.

    Args:
        config: the sweep's composed configuration.
        context: Hydra's.
        launcher: set up.
        plan: what to sweep and how, checked.
    """

    def __init__(self, config: DictConfig, context: HydraContext, launcher: Launcher, plan: Plan) -> None:
        self.config, self.context, self.launcher, self.plan = config, context, launcher, plan
        self.folder = Path(str(config.hydra.sweep.dir))
        # Any other pattern has to be looked up in a job's configuration, which a stack composes for that in 50 ms.
        pattern: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        self._by_number = pattern["subdir"] == "${hydra.job.num}"
        self._in_a_row = 0
        self._finished = 0
        self._failures = 0

    def run(self) -> None:
        """Runs trials until every number is taken.

        Raises:
            UserError: the study cannot be used, or is another one.
            SystemExit: too many trials failed.
            KeyboardInterrupt: Ctrl-C; the trials in work wait to be run again.
        """
        plan = self.plan
        study = plan.open(self.folder)
        try:
            taken = study.reclaim()
            trials = study.trials()
            done = sum(trial.state.is_finished() for trial in trials)
            if trials:
                again = f", {taken} of dead processes will run again" if taken else ""
                log.info("study %r goes on: %d of %d trials done%s", plan.name, done, plan.limit, again)
            progress = Progress(plan.limit, plan.directions, done)
            said = False
            while batch := self._batch(study):
                said = False
                before = self._failures
                self._work(study, batch)
                if progress.due():
                    log.info("%s", progress.line(study.trials()))
                    said = True
                self._stop_if_hopeless((self._failures - before) / len(batch), new=not trials)
            if not said:
                log.info("%s", progress.line(study.trials()))
        finally:
            study.close()

    def _batch(self, study: DurableStudy) -> "list[Trial]":
        batch: list[Trial] = []
        while len(batch) < self.plan.n_jobs:
            trial = study.ask()
            if trial is None:
                if batch or not study.reclaim():
                    break
            elif study.deaths(trial) < 2:
                batch.append(trial)
            elif not batch:
                return [trial]  # alone, for it may be what kills: no other trial shall die with it again
            else:
                study.give_back(trial)
                break
        return batch

    def _work(self, study: DurableStudy, batch: "list[Trial]") -> None:
        """Runs a batch and tells its outcomes; what Ctrl-C or a full disk cuts off goes back."""
        open_ones = {trial.number: trial for trial in batch}
        commands: dict[int, list[str]] = {}
        try:
            commands |= {trial.number: self.plan.command(trial) for trial in batch}
            left = []
            for trial in batch:
                # A process that died between the end of a run and the study's knowing it left a whole folder.
                done = self._salvage(trial, commands) if study.deaths(trial) else None
                if done is None:
                    left.append(trial)
                else:
                    self._close(study, open_ones, trial, done)
            for trial, outcome in self._launch(left, commands):
                self._close(study, open_ones, trial, outcome)
        except (KeyboardInterrupt, UserError):
            with suppress(UserError):  # where the study itself failed, they are reclaimed later
                for trial in tuple(open_ones.values()):
                    done = self._salvage(trial, commands) if trial.number in commands else None
                    if done is None:
                        study.give_back(trial)
                    else:
                        self._close(study, open_ones, trial, done)
            raise

    def _close(self, study: DurableStudy, open_ones: "dict[int, Trial]", trial: "Trial", outcome: Outcome) -> None:
        study.tell(trial, outcome.state, outcome.values, outcome.notes)
        del open_ones[trial.number]
        self._finished += 1
        self._in_a_row = self._in_a_row + 1 if outcome.state == "FAIL" else 0
        if outcome.state == "FAIL":
            self._failures += 1
            log.warning("trial %d failed: %s", trial.number, outcome.notes["message"])

    def _launch(self, batch: "list[Trial]", commands: dict[int, list[str]]) -> "list[tuple[Trial, Outcome]]":
        """Launches a batch. Where a worker's death broke it up, the unfinished ones run one by one."""
        if not batch:
            return []
        first = batch[0].number
        jobs = []
        for place, trial in enumerate(batch):
            command = commands[trial.number]
            if self._by_number and (home := self._home(trial).path).exists():
                with claimed(home, str(home), command):  # before Hydra writes into it, which the job comes too late for
                    pass
            if trial.number != first + place:
                # Another process took the numbers between; the launcher can only count on.
                number = trial.number
                command = [*command, f"hydra.sweep.subdir='{number}'", f"+hydra.job.env_set.{NUMBER}='{number}'"]
            jobs.append(command)
        try:
            returns = self.launcher.launch(jobs, initial_job_idx=first)
        except (Exception, SystemExit) as error:
            _stop_if_full(error, self._home(batch[0]))
            if len(batch) == 1:
                return [(batch[0], self._failed(f"{type(error).__name__}: {_first_line(error)}", batch[0]))]
            results = []
            for trial in batch:
                done = self._salvage(trial, commands)
                results += [(trial, done)] if done else self._launch([trial], commands)
            return results
        return [(trial, self._outcome(trial, ret)) for trial, ret in zip(batch, returns, strict=True)]

    def _outcome(self, trial: "Trial", ret: JobReturn) -> Outcome:
        cfg = None if self._by_number else ret.hydra_cfg
        folder = RunFolder(cfg.hydra.runtime.output_dir) if cfg else self._home(trial)
        if ret.status != JobStatus.COMPLETED:
            error = ret._return_value
            _stop_if_full(error, folder)
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            return self._failed(said, trial, folder)
        status = folder.read_summary().get("status", "completed")
        notes = {"folder": self._name(folder)} | ({} if status == "completed" else {"status": status})
        if status == PRUNED:
            return Outcome("PRUNED", None, notes)
        answer = ret.return_value
        try:
            values = [float(value) for value in (answer if isinstance(answer, (list, tuple)) else [answer])]
        except (TypeError, ValueError):
            return self._failed(f"returned {answer!r}, expected a number for each objective", trial, folder)
        expected = len(self.plan.directions)
        if len(values) != expected or any(math.isnan(value) for value in values):
            wanted = "a number" if expected == 1 else f"{expected} numbers"
            return self._failed(f"returned {answer!r}, expected {wanted}", trial, folder)
        return Outcome("COMPLETE", values, notes)

    def _salvage(self, trial: "Trial", commands: dict[int, list[str]]) -> Outcome | None:
        """The outcome that a run folder holds, where the run came to its end."""
        try:
            summary = self._home(trial).read_summary()
        except UserError:
            return None
        if summary.get("overrides") != commands[trial.number]:
            return None
        status = summary.get("status")
        notes = {"folder": str(trial.number)} | ({} if status == "completed" else {"status": status})
        if status == PRUNED:
            return Outcome("PRUNED", None, notes)
        values = [part["value"] for part in summary.get("objectives", [summary.get("objective", {})]) if part]
        if not (has_result(status) or status == DIVERGED) or len(values) != len(self.plan.directions):
            return None
        worst = [math.inf if direction == "minimize" else -math.inf for direction in self.plan.directions]
        # JSON has no infinity: a diverged run's objective is null there.
        return Outcome("COMPLETE", [w if v is None else v for w, v in zip(worst, values, strict=True)], notes)

    def _home(self, trial: "Trial") -> RunFolder:
        return RunFolder(self.folder / str(trial.number))

    def _failed(self, message: str, trial: "Trial", folder: RunFolder | None = None) -> Outcome:
        folder = folder or self._home(trial)
        return Outcome("FAIL", None, {"folder": self._name(folder), "status": "failed", "message": message})

    def _name(self, folder: RunFolder) -> str:
        """A run folder as seen from the sweep's; a pattern may put it deeper."""
        return os.path.relpath(folder.path, self.folder)

    def _stop_if_hopeless(self, rate: float, new: bool) -> None:
        plan = self.plan
        first = plan.n_jobs if plan.n_jobs > 1 else _FIRST
        reason = None
        if new and self._in_a_row == self._finished == first:
            reason = f"all of the first {first} trials failed"
        elif self._in_a_row >= plan.max_failures_in_a_row:
            reason = f"{self._in_a_row} trials failed in a row (hydra.sweeper.max_failures_in_a_row)"
        elif rate > plan.max_failure_rate:
            reason = f"{rate:.0%} of a batch failed (hydra.sweeper.max_failure_rate={plan.max_failure_rate})"
        if reason:
            log.error("the sweep stops: %s", reason)
            raise SystemExit(1)


def _stop_if_full(error: Any, folder: RunFolder) -> None:
    """A full disk says nothing about a trial: were it a result, the trial would not run again.

    Raises:
        UserError: there is no room.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        raise UserError(f"{folder.path}: {error.strerror}; the same command goes on once there is room") from error


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "")
