"""A study that outlives its processes: opened again, it goes on where it stopped."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from src.adapters.optuna_internals import id_of, propose, storage_of, trial_by_id
from src.errors import UserError
from src.runs.lock import LOCKS, locked
from src.sweeping.blame import DEATHS, MOST, blame
from src.sweeping.fingerprint import Fingerprint, differences
from src.sweeping.lease import HEARTBEAT, LEASE, PERIOD, Lease, at_work, clear, job_at_work
from src.sweeping.storage import explained, is_file, open_storage, shown

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

    from src.sweeping.samplers import SamplerOf

log = logging.getLogger(__name__)

FINGERPRINT = "plumbline:fingerprint"  # of the study
SAMPLER = "plumbline:sampler"  # of the study: who proposed last
_RISKY = 2  # deaths after which a trial is held to be what kills


class DurableStudy:
    """Hands out trials by number, each to one process; takes back those of processes that died.

    A trial's number is its place in the sweep, its folder's name and, for random and grid, its point. A
    trial that was interrupted or whose process died goes back to waiting under the same number with the
    same point, so the study of a killed sweep ends as that of an uninterrupted one.

    Args:
        where: the storage, as ``location`` gives it.
        name: of the study.
        directions: minimize or maximize, one for each objective.
        fingerprint: what decides this sweep's results; a study about something else is refused.
        sampler: Optuna's, by the number of the trial.
        described: the sampler's settings; others than before are said and taken.
        pruner: Optuna's.
        limit: how many trials the study shall have.
        max_retries: how often a trial runs again whose process died, before it counts as failed.
        folder: of the sweep; there the processes on this machine lock files.

    Raises:
        UserError: the storage cannot be used, or the study is another one.
    """

    def __init__(
        self,
        where: str,
        name: str,
        directions: list[str],
        fingerprint: Fingerprint,
        sampler: "SamplerOf",
        described: Fingerprint,
        pruner: "BasePruner | None",
        limit: int,
        max_retries: int,
        folder: Path,
    ) -> None:
        self.where, self.sampler, self.limit, self.max_retries = where, sampler, limit, max_retries
        self.folder, self.lock = folder, folder / "study.lock"
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the sweep itself says what there is to say
        with locked(self.lock), explained(where):
            storage = open_storage(where)
            options: Any = {"study_name": name, "storage": storage, "sampler": RandomSampler(), "pruner": pruner}
            try:
                self.study = optuna.load_study(**options)  # writes nothing
            except KeyError:
                self.study = optuna.create_study(**options, directions=cast(Any, directions), load_if_exists=True)
            self.storage, self._id = storage_of(self.study)
            self._recognise(f"study {name!r}", fingerprint, described)
            self._lease = Lease(folder)
        self._beats = not is_file(where) or not LOCKS
        self._running: set[int] = set()
        self._over = threading.Event()
        if self._beats:
            threading.Thread(target=self._live, daemon=True, name="heartbeat").start()

    def close(self) -> None:
        """Lets go of the lease."""
        self._over.set()
        with suppress(FileNotFoundError), locked(self.lock):
            self._lease.release()

    def trials(self) -> list[FrozenTrial]:
        """All trials with a number below the limit; to be looked at, not to be changed."""
        return [trial for trial in self._trials() if trial.number < self.limit]

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        with explained(self.where):
            return self.study.get_trials(deepcopy=False, states=states or None)

    def ask(self, most: int, learns: bool) -> list[Trial]:
        """The next trials, running and ours, at most so many; none where every number is taken.

        Interrupted ones come first, so that what a sampler proposes next it proposes from what it would have known
        without the interruption. Trials that died beside others run again by halves, until the one that kills dies
        alone; one over which alone two processes died comes last: what kills must neither stand in the way of the
        others nor take them with it.

        Args:
            most: how many may run at a time.
            learns: whether the sampler does. Then the batches are the same, however often the sweep was interrupted,
                and no trial comes last: what is proposed after it has to know what it came to.
        """
        risky = self.max_retries + 1 if learns else _RISKY
        with explained(self.where), locked(self.lock):
            found, suspected = self._take(range(risky), most)
            while len(found) < most and not (suspected or (learns and found and self._ends_a_batch(found[-1], most))):
                if self.storage.get_n_trials(self._id) >= self.limit:
                    break
                found.append(self._create())
            found = found or self._take(range(risky, self.max_retries + 1), 1)[0]
            trials = [trial_by_id(self.study, each) for each in found]
            for trial in [each for each in trials if each.number >= self.limit]:
                # A process on another machine was faster; the number waits for a larger limit.
                self.storage.set_trial_state_values(id_of(trial), TrialState.WAITING)
                trials.remove(trial)
            self._running.update(map(id_of, trials))
            return trials

    def propose(self, trial: Trial) -> None:
        """Has the sampler choose what of the trial's point was not chosen before an interruption."""
        with explained(self.where):
            propose(trial, self.sampler(trial.number))

    def _ends_a_batch(self, trial_id: int, most: int) -> bool:
        trial = self.storage.get_trial(trial_id)
        return bool(trial.params) or (trial.number + 1) % most == 0

    def tell(self, trial: Trial, state: str, values: list[float] | None, notes: dict[str, Any]) -> None:
        """Ends a trial.

        Args:
            state: COMPLETE, PRUNED or FAIL.
            values: the objectives of a complete trial.
            notes: kept beside it: folder, status, message.
        """
        # A process that was silent for long may find that another one ended its trial meanwhile.
        with explained(self.where), suppress(UpdateFinishedTrialError):
            self._running.discard(id_of(trial))
            for key, value in notes.items():
                self.storage.set_trial_user_attr(id_of(trial), key, value)
            self.study.tell(trial, values, TrialState[state], skip_if_finished=True)

    def died(self, trial: Trial) -> bool:
        """Whether a process died over this trial before, alone or beside others."""
        with explained(self.where):
            return not {DEATHS, MOST}.isdisjoint(self.storage.get_trial_system_attrs(id_of(trial)))

    def give_back(self, trial: Trial) -> None:
        """An interrupted trial waits to be run again."""
        with explained(self.where):
            self._running.discard(id_of(trial))
            self.storage.set_trial_state_values(id_of(trial), TrialState.WAITING)

    def reclaim(self) -> int:
        """Takes back the trials of dead processes; those of live ones, and of jobs that live on, are left alone.

        Returns:
            How many wait again. A trial over which too many processes died has failed.
        """
        with explained(self.where), locked(self.lock):
            dead = [
                trial
                for trial in self._trials(TrialState.RUNNING)
                if not at_work(trial, self.folder) and not job_at_work(trial, self.folder)
            ]
            taken = blame(self.storage, dead, self.max_retries, self._come_to)
            clear(self.folder)
        return taken

    def _come_to(self, number: int) -> int:
        """How far a trial has come that can go on, as bytes of metrics.csv, its own or its models'; 0 if none can."""
        found = (self.folder / str(number)).glob("**/checkpoints/last.ckpt")
        rows = [path.parents[1] / "metrics.csv" for path in found]
        return max((path.stat().st_size for path in rows if path.is_file()), default=0)

    def outlived(self) -> Sequence[int]:
        """The trials whose jobs go on though the process that launched them died."""
        running = self._trials(TrialState.RUNNING)
        return [t.number for t in running if job_at_work(t, self.folder) and not at_work(t, self.folder)]

    def _take(self, deaths: range, most: int) -> tuple[list[int], bool]:
        """Waiting trials over which alone so many processes died, and whether one of them may be what kills.

        Those with the fewest deaths come first, and those that may run beside the most.
        """
        waiting = [trial for trial in self._trials(TrialState.WAITING) if trial.number < self.limit]
        taken: list[int] = []
        for trial in sorted(waiting, key=lambda t: (t.system_attrs.get(DEATHS, 0), -t.system_attrs.get(MOST, most))):
            most = min(most, trial.system_attrs.get(MOST, most))
            if len(taken) >= most:
                break
            if trial.system_attrs.get(DEATHS, 0) not in deaths:
                continue
            with suppress(UpdateFinishedTrialError):  # another machine was faster
                if self.storage.set_trial_state_values(id_of(trial), TrialState.RUNNING):
                    for key, value in self._signature().items():
                        self.storage.set_trial_system_attr(id_of(trial), key, value)
                    taken.append(id_of(trial))
                    suspected = MOST in trial.system_attrs
        return taken, bool(taken) and suspected

    def _create(self) -> int:
        """A new running trial that names its lease from its first moment on: no kill can orphan it."""
        template = create_trial(state=TrialState.RUNNING, system_attrs=self._signature())
        return self.storage.create_new_trial(self._id, template_trial=template)

    def _signature(self) -> dict[str, Any]:
        return {LEASE: str(self._lease.path)} | ({HEARTBEAT: time.time()} if self._beats else {})

    def _live(self) -> None:
        while not self._over.wait(PERIOD):
            with suppress(Exception):  # the sweep itself will meet the fault and say it
                self._heartbeat(time.time())

    def _heartbeat(self, now: float) -> None:
        for trial_id in tuple(self._running):
            self.storage.set_trial_system_attr(trial_id, HEARTBEAT, now)

    def _recognise(self, what: str, fingerprint: Fingerprint, sampler: Fingerprint) -> None:
        """Refuses a study that is about something else, and says of a new one what it is about."""
        known = self.study.user_attrs
        advice = "study.new=true or another hydra.sweeper.study_name starts afresh"
        if FINGERPRINT not in known:
            if self._trials():
                raise UserError(f"{what} at {shown(self.where)} was not made by this sweeper; {advice}")
            # New, or its maker was killed before it came to this line.
            self.study.set_user_attr(FINGERPRINT, fingerprint)
        elif changed := differences(known[FINGERPRINT], fingerprint):
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise UserError(f"{what} is another one: {'; '.join(changed[:5])}{more}. {advice}")
        if changed := differences(known.get(SAMPLER, sampler), sampler):
            log.warning("%s goes on with another sampler: %s", what, "; ".join(changed))
        if known.get(SAMPLER) != sampler:
            self.study.set_user_attr(SAMPLER, sampler)
