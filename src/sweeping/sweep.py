"""Runs a sweep: asks the durable study for trials, launches them, tells it what came out."""

import errno
import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from src.adapters.hydra_compose import written_pattern
from src.errors import UserError, first_line
from src.runs.folder import RunFolder
from src.runs.lock import claimed
from src.runs.status import PRUNED, is_over
from src.secrets import masked_overrides
from src.sweeping.plan import Plan
from src.sweeping.progress import Progress
from src.training.task import objectives_of, rankable

if TYPE_CHECKING:
    from optuna.trial import Trial

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATIENCE = 1.0  # seconds between two looks at a job that outlived its sweep
_FIRST = 3  # trials that count as the first batch where they run one by one


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: its state for Optuna, its values, and what is noted beside it."""

    state: str
    values: list[float] | None
    notes: dict[str, Any]


class Sweep:
    """The loop of one process. Several may run on one study; none waits for another."""

    def __init__(self, launcher: Launcher, plan: Plan) -> None:
        self.launcher, self.plan = launcher, plan
        sweep = plan.config.hydra.sweep
        self.folder = Path(str(sweep.dir))
        # Any other pattern has to be looked up in a job's configuration, which a stack composes for that in 50 ms.
        self._by_number = written_pattern(plan.config) == "${hydra.job.num}"
        self._ends: list[bool] = []  # of the trials that ended here, whether each failed

    def run(self) -> None:
        """Runs trials until every number is taken.

        Raises:
            UserError: the study cannot be used, or is another one.
            SystemExit: too many trials failed.
            KeyboardInterrupt: Ctrl-C; the trials in work wait to be run again.
        """
        plan = self.plan
        self.study = study = plan.open(self.folder)
        try:
            taken = study.reclaim()
            trials = study.trials()
            done = sum(trial.state.is_finished() for trial in trials)
            if trials:
                again = f", {taken} of dead processes will run again" if taken else ""
                name = plan.options.study_name
                log.info("study %r goes on: %d of %d trials done%s", name, done, plan.limit, again)
            progress = Progress(plan.limit, plan.directions, done)
            try:
                while batch := self._batch() or self._wait():
                    if progress.due():
                        progress.show(study.trials())
                    self._work(batch)
                    self._stop_if_hopeless(len(batch), new=not trials)
            finally:
                progress.close()
            log.info("%s", progress.line(study.trials()))
        finally:
            study.close()

    def _batch(self) -> "list[Trial]":
        batch = self.study.ask(self.plan.n_jobs, self.plan.learns)
        return batch or (self._batch() if self.study.reclaim() else [])

    def _wait(self) -> "list[Trial]":
        """Where nothing else is left to do, the trials whose jobs outlived the sweep that launched them."""
        told = False
        while outlived := self.study.outlived():
            if not told:
                log.info("waiting for jobs that outlived their sweep: trials %s", ", ".join(map(str, outlived)))
            told = True
            time.sleep(_PATIENCE)
        return self._batch() if told else []

    def _work(self, batch: "list[Trial]") -> None:
        """Runs a batch and tells its outcomes; what Ctrl-C or a full disk cuts off goes back."""
        self._open, self._commands = {trial.number: trial for trial in batch}, {}
        try:
            for trial in batch:  # in turn, so that a sampler sees what it proposed for the others of the batch
                self.study.propose(trial)
                self._commands[trial.number] = self.plan.command(trial)
            # A process that died between the end of a run and the study's knowing it left a whole folder.
            self._salvage([trial for trial in batch if self.study.died(trial)])
            left = list(enumerate(sorted(self._open.values(), key=lambda trial: trial.number)))
            counts = not hasattr(self.launcher, "launch_numbered")  # as Hydra's launchers do, from one number on
            for _, some in groupby(left, lambda pair: counts and pair[1].number - pair[0]):
                self._launch([trial for _, trial in some])
        except (KeyboardInterrupt, UserError):
            with suppress(UserError):  # where the study itself failed, they are reclaimed later
                self._salvage(list(self._open.values()))
                for trial in self._open.values():
                    self.study.give_back(trial)
            raise

    def _close(self, trial: "Trial", outcome: Outcome) -> None:
        self.study.tell(trial, outcome.state, outcome.values, outcome.notes)
        del self._open[trial.number]
        self._ends.append(outcome.state == "FAIL")
        if outcome.state == "FAIL":
            log.warning("trial %d failed: %s", trial.number, outcome.notes["message"])

    def _launch(self, batch: "list[Trial]") -> None:
        """Launches a batch. Where a worker's death broke it up, the unfinished ones run one by one."""
        jobs = []
        for trial in batch:
            path, command = self._home(trial).path, self._commands[trial.number]
            if self._by_number and path.exists():
                with claimed(path, str(path), command):  # before Hydra writes into it, which the job comes too late for
                    pass
            jobs.append(command)
        try:
            if launch := getattr(self.launcher, "launch_numbered", None):
                returns = launch({trial.number: job for trial, job in zip(batch, jobs, strict=True)})
            else:
                returns = self.launcher.launch(jobs, initial_job_idx=batch[0].number)
        except (Exception, SystemExit) as error:
            home = self._home(batch[0])
            _stop_if_full(error, home)
            if len(batch) == 1:
                self._close(batch[0], self._failed(f"{type(error).__name__}: {first_line(error)}", home))
                return
            self._salvage(batch)
            for trial in list(self._open.values()):
                self._launch([trial])
            return
        for trial, ret in zip(batch, returns, strict=True):
            self._close(trial, self._outcome(trial, ret))

    def _outcome(self, trial: "Trial", ret: JobReturn) -> Outcome:
        cfg = None if self._by_number else ret.hydra_cfg
        folder = RunFolder(cfg.hydra.runtime.output_dir) if cfg else self._home(trial)
        if ret.status != JobStatus.COMPLETED:
            error = ret._return_value
            _stop_if_full(error, folder)
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            return self._failed(said, folder)
        answer = ret.return_value
        try:
            values = [float(value) for value in (answer if isinstance(answer, (list, tuple)) else [answer])]
        except (TypeError, ValueError):
            values = []
        if done := self._ended(folder, folder.read_summary().get("status", "completed"), values):
            return done
        expected = len(self.plan.directions)
        wanted = "a number" if expected == 1 else f"{expected} numbers"
        return self._failed(f"returned {answer!r}, expected {wanted}", folder)

    def _salvage(self, trials: "list[Trial]") -> None:
        """Closes those whose run folder says what the run came to."""
        for trial in trials:
            folder = self._home(trial)
            summary: dict[str, Any] = {}
            with suppress(UserError):
                summary = folder.read_summary()
            asked = masked_overrides(self._commands.get(trial.number, ()))
            ours = is_over(summary.get("status")) and summary.get("overrides") == asked
            values = list(objectives_of(summary).values()) if ours else []
            if ours and (done := self._ended(folder, summary["status"], values)):
                self._close(trial, done)

    def _ended(self, folder: RunFolder, status: str, values: Sequence[float]) -> Outcome | None:
        """The outcome of a run that came to its end; None where it has not a value for each objective."""
        notes = {"folder": self._name(folder)} | ({} if status == "completed" else {"status": status})
        if status == PRUNED:
            return Outcome("PRUNED", None, notes)
        directions = self.plan.directions
        if len(values) != len(directions):
            return None
        return Outcome("COMPLETE", [rankable(v, d) for v, d in zip(values, directions, strict=True)], notes)

    def _home(self, trial: "Trial") -> RunFolder:
        return RunFolder(self.folder / str(trial.number))

    def _failed(self, message: str, folder: RunFolder) -> Outcome:
        return Outcome("FAIL", None, {"folder": self._name(folder), "status": "failed", "message": message})

    def _name(self, folder: RunFolder) -> str:
        """A run folder as seen from the sweep's; a pattern may put it deeper."""
        return os.path.relpath(folder.path, self.folder)

    def _stop_if_hopeless(self, batch: int, new: bool) -> None:
        plan, options = self.plan, self.plan.options
        first = plan.n_jobs if plan.n_jobs > 1 else _FIRST
        in_a_row = next((n for n, failed in enumerate(reversed(self._ends)) if not failed), len(self._ends))
        rate = sum(self._ends[-batch:]) / batch
        if new and in_a_row == len(self._ends) == first:
            reason = f"all of the first {first} trials failed"
        elif in_a_row >= options.max_failures_in_a_row:
            reason = f"{in_a_row} trials failed in a row (hydra.sweeper.max_failures_in_a_row)"
        elif rate > options.max_failure_rate:
            reason = f"{rate:.0%} of a batch failed (hydra.sweeper.max_failure_rate={options.max_failure_rate})"
        else:
            return
        log.error("the sweep stops: %s", reason)
        raise SystemExit(1)


def _stop_if_full(error: Any, folder: RunFolder) -> None:
    """A full disk says nothing about a trial: were it a result, the trial would not run again.

    Raises:
        UserError: there is no room.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        raise UserError(f"{folder.path}: {error.strerror}; the same command goes on once there is room") from error
