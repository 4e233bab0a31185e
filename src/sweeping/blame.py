"""Which trial it was that killed its process: found by halves, so that the others never pay for it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from src.adapters.optuna_internals import id_of
from src.sweeping.lease import LEASE

DEATHS = "plumbline:deaths"  # of a trial: how many processes died over it alone
MOST = "plumbline:most"  # of a trial that died beside others: how many may run beside each other next time
POINT = "plumbline:point"  # of a trial that died: how far it had come


def blame(storage: Any, dead: Sequence[FrozenTrial], max_retries: int, come_to: Callable[[int], int]) -> int:
    """Ends the running trials of dead processes, or has them wait.

    Who died beside others runs again with half of them; a death counts where a trial died alone. But who has come
    further than when a process last died over it goes on beside the same: a trial that kills does so at the same
    point, and a stack of as many members comes to the same bits.

    Args:
        storage: Optuna's.
        dead: the trials.
        max_retries: deaths that a trial may have before it has failed.
        come_to: how far the trial with this number has come that can go on from there, 0 where none can. One that
            begins anew each time, as under a pruner, comes as far and no further.

    Returns:
        How many wait.
    """
    beside = Counter(trial.system_attrs.get(LEASE) for trial in dead)
    points = {trial.number: come_to(trial.number) for trial in dead}
    further = {t.system_attrs.get(LEASE) for t in dead if points[t.number] > t.system_attrs.get(POINT, 0)}
    # While points are proposed nothing trains: that is nobody's doing, and the batch is proposed together again.
    proposing = {trial.system_attrs.get(LEASE) for trial in dead if not trial.params}
    taken = 0
    for trial in dead:
        lease = trial.system_attrs.get(LEASE)
        if points[trial.number]:
            storage.set_trial_system_attr(id_of(trial), POINT, points[trial.number])
        if beside[lease] > 1:
            most = beside[lease] if lease in proposing | further else -(-beside[lease] // 2)
            storage.set_trial_system_attr(id_of(trial), MOST, most)
            storage.set_trial_state_values(id_of(trial), TrialState.WAITING)
            taken += 1
        else:
            taken += _count(storage, trial, max_retries)
    return taken


def _count(storage: Any, trial: FrozenTrial, max_retries: int) -> bool:
    """A trial that died alone; whether it waits to run again."""
    deaths = trial.system_attrs.get(DEATHS, 0) + 1
    storage.set_trial_system_attr(id_of(trial), DEATHS, deaths)
    if deaths <= max_retries:
        storage.set_trial_state_values(id_of(trial), TrialState.WAITING)
        return True
    times = "once" if deaths == 1 else f"{deaths} times"
    storage.set_trial_user_attr(id_of(trial), "message", f"the process that ran it died, {times}")
    storage.set_trial_state_values(id_of(trial), TrialState.FAIL)
    return False
