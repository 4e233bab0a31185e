"""A study that outlives its processes: opened again, it goes on where it stopped."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from src.errors import UserError
from src.runs.lock import locked
from src.sweeping import lease
from src.sweeping.fingerprint import Identity, differences
from src.sweeping.storage import explained, open_storage, shown

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

    from src.sweeping.samplers import SamplerOf

IDENTITY = "plumbline:identity"  # of the study
DEATHS = "plumbline:deaths"  # of a trial: how many processes died over it


class DurableStudy:
    """Hands out trials by number, each to one process; takes back those of processes that died.

    A trial's number is its place in the sweep, its folder's name and, for random and grid, its point. A
    trial that was interrupted or whose process died goes back to waiting under the same number with the
    same point, so the study of a killed sweep ends as that of an uninterrupted one.

    Args:
        where: the storage, as ``location`` gives it.
        name: of the study.
        directions: minimize or maximize, one for each objective.
        identity: what this sweep is about; a study that is about something else is refused.
        sampler: Optuna's, by the number of the trial.
        pruner: Optuna's.
        limit: how many trials the study shall have.
        lives: how many processes may die over a trial before it counts as failed.
        lock: a file that the processes on this machine lock to take a number.

    Raises:
        UserError: the storage cannot be used, or the study is another one.
    """

    def __init__(
        self,
        where: str,
        name: str,
        directions: list[str],
        identity: Identity,
        sampler: "SamplerOf",
        pruner: "BasePruner | None",
        limit: int,
        lives: int,
        lock: Path,
    ) -> None:
        self.where, self.sampler, self.limit, self.lives, self.lock = where, sampler, limit, lives, lock
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the sweep itself says what there is to say
        with locked(lock):
            self.storage = open_storage(where)
            with explained(where):
                options: Any = {"study_name": name, "storage": self.storage, "sampler": sampler(0), "pruner": pruner}
                try:
                    self.study = optuna.load_study(**options)  # writes nothing
                except KeyError:
                    self.study = optuna.create_study(**options, directions=cast(Any, directions), load_if_exists=True)
                self._identify(f"study {name!r}", identity)
        self._id = self.study._study_id
        self._owner = lease.me()
        self._running: set[int] = set()
        self._over = threading.Event()
        threading.Thread(target=self._live, daemon=True, name="heartbeat").start()

    def close(self) -> None:
        """Stops the signs of life."""
        self._over.set()

    def trials(self) -> list[FrozenTrial]:
        """All trials with a number below the limit; to be looked at, not to be changed."""
        with explained(self.where):
            return [t for t in self.study.get_trials(deepcopy=False) if t.number < self.limit]

    def ask(self) -> Trial | None:
        """The next trial, running and ours; None where every number is taken."""
        with explained(self.where), locked(self.lock):
            # New numbers first: a trial that kills its process must not stand in the way of the others.
            found = self._create() if self.storage.get_n_trials(self._id) < self.limit else self._pop()
            if found is None:
                return None
            number = self.storage.get_trial_number_from_id(found)
            if number >= self.limit:
                # A process on another machine was faster; the number waits for a larger limit.
                self.storage.set_trial_state_values(found, TrialState.WAITING)
                return None
            self._running.add(found)
            # The samplers' view of the study is as old as this thread's last `tell`.
            self.study._thread_local.cached_all_trials = None
            self.study.sampler = self.sampler(number)
            return Trial(self.study, found)

    def tell(self, trial: Trial, state: str, values: list[float] | None, notes: dict[str, Any]) -> None:
        """Ends a trial.

        Args:
            state: COMPLETE, PRUNED or FAIL.
            values: the objectives of a complete trial.
            notes: kept beside it: folder, status, message.
        """
        # A process that was silent for long may find that another one ended its trial meanwhile.
        with explained(self.where), suppress(UpdateFinishedTrialError):
            self._running.discard(trial._trial_id)
            for key, value in notes.items():
                self.storage.set_trial_user_attr(trial._trial_id, key, value)
            self.study.tell(trial, values, TrialState[state], skip_if_finished=True)

    def deaths(self, trial: Trial) -> int:
        """How many processes died over this trial before."""
        with explained(self.where):
            return int(self.storage.get_trial_system_attrs(trial._trial_id).get(DEATHS, 0))

    def give_back(self, trial: Trial) -> None:
        """An interrupted trial waits to be run again."""
        with explained(self.where):
            self._running.discard(trial._trial_id)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def reclaim(self) -> int:
        """Takes back the trials of dead processes; those of live ones are left alone.

        Returns:
            How many wait again. A trial over which too many processes died has failed.
        """
        taken = 0
        with explained(self.where), locked(self.lock):
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if lease.at_work(trial):
                    continue
                deaths = trial.system_attrs.get(DEATHS, 0) + 1
                self.storage.set_trial_system_attr(trial._trial_id, DEATHS, deaths)
                if deaths < self.lives:
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
                    taken += 1
                else:
                    message = f"the process that ran it died, {deaths} times"
                    self.storage.set_trial_user_attr(trial._trial_id, "message", message)
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return taken

    def _pop(self) -> int | None:
        """A waiting trial, one over which the fewest processes died."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        for trial in sorted(waiting, key=lambda trial: trial.system_attrs.get(DEATHS, 0)):
            if trial.number >= self.limit:
                continue
            with suppress(UpdateFinishedTrialError):  # another machine was faster
                if self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                    self.storage.set_trial_system_attr(trial._trial_id, lease.OWNER, self._owner)
                    return trial._trial_id
        return None

    def _create(self) -> int:
        """A new running trial that names its owner from its first moment on: no kill can orphan it."""
        template = create_trial(state=TrialState.RUNNING, system_attrs={lease.OWNER: self._owner})
        return self.storage.create_new_trial(self._id, template_trial=template)

    def _live(self) -> None:
        while not self._over.wait(lease.PERIOD):
            with suppress(Exception):  # the sweep itself will meet the fault and say it
                self._beat(time.time())

    def _beat(self, now: float) -> None:
        for trial_id in tuple(self._running):
            self.storage.set_trial_system_attr(trial_id, lease.BEAT, now)

    def _identify(self, what: str, identity: Identity) -> None:
        """Refuses a study that is about something else, and says of a new one what it is about."""
        before = self.study.user_attrs.get(IDENTITY)
        advice = "study.new=true or another hydra.sweeper.study_name starts afresh"
        if before is None:
            if self.study.get_trials(deepcopy=False):
                raise UserError(f"{what} at {shown(self.where)} was not made by this sweeper; {advice}")
            # New, or its maker was killed before it came to this line.
            self.study.set_user_attr(IDENTITY, identity)
        elif changed := differences(before, identity):
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            raise UserError(f"{what} is another one: {'; '.join(changed[:5])}{more}. {advice}")
