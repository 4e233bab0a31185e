"""What all runs of a sweep together show: leaderboard, sweep.json, report.html, figures, next commands."""

import json
import math
import shlex
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.reports.compare import compare
from src.reports.leaderboard import Row, names_of, print_table, ranked, table
from src.reports.sweep_folder import Found, read
from src.runs.folder import write_text
from src.runs.status import FAILED
from src.sweeping.storage import forget, open_storage, shown

if TYPE_CHECKING:
    from optuna.study import Study

_DASHBOARD = "dashboard.journal"  # a grid has no study; this one is made of its runs
_GET = "dashboard, once `pip install optuna-dashboard` brought it"
_DASHBOARD_RUNS = 40  # that TensorBoard shows without being asked
_BEST = 5  # runs to look at where there are more
_MOST = 2000  # runs that are written there


def report(folder: Path) -> list[Row]:
    """Writes and prints the report of the sweep at ``folder``, finished or not, ours or any other multirun.

    Returns:
        The leaderboard.

    Raises:
        UserError: there is nothing to report on, or the folder cannot be written.
    """
    found = read(folder)
    rows = ranked(found.rows, found.directions)
    names, title = names_of(rows), found.study.study_name if found.study else folder.name
    try:
        study = found.study or _study_of(rows, found.directions, folder)
        commands = _commands(rows, found.where if found.study else str(folder / _DASHBOARD))
        write_text(folder / "leaderboard.csv", table(rows).to_csv(index=False))
        write_text(folder / "sweep.json", json.dumps(_sweep(rows, found, commands), indent=2) + "\n")

        from src.reports.page import page

        write_text(folder / "report.html", page(title, study, rows, names, commands))
    except OSError as error:
        raise UserError(f"sweep={folder}: the report cannot be written ({error.strerror})") from error
    place = _shown(folder)
    print_table(rows, f"{title}: {', '.join(names)}")
    for said, line in commands.items():
        print(f"{said}: {line}")
    print(f"curves: tensorboard --logdir {shlex.quote(str(place))}{_shown_first(rows)}")
    print(f"report: {place / 'report.html'}, {place / 'leaderboard.csv'}")
    compare(folder, rows, title)
    if found.note:
        print(f"note: {found.note}; this report is made from the run folders alone", file=sys.stderr)
    return rows


def _commands(rows: list[Row], where: str) -> dict[str, str]:
    again = {"train the best again": rows[0].command} if rows[0].rank and rows[0].command else {}
    storage = shown(where) if "://" in where else str(_shown(Path(where)))
    there = find_spec("optuna_dashboard") is not None
    return again | {("dashboard" if there else _GET): f"optuna-dashboard {shlex.quote(storage)}"}


def _shown_first(rows: list[Row]) -> str:
    """Which runs to look at where TensorBoard, which has so many, begins with none."""
    best = "|".join(row.folder for row in rows[:_BEST] if row.rank)
    if len(rows) <= _DASHBOARD_RUNS or not best:
        return ""
    return f" (it shows none of {len(rows)} runs at first: filter runs by ^({best})$ and tick them all)"


def _shown(path: Path) -> Path:
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _sweep(rows: list[Row], found: Found, commands: dict[str, str]) -> dict[str, Any]:
    """sweep.json."""
    best = rows[0]
    described = {"folder": best.folder, "values": best.values, "params": best.params, "seeds": best.seeds}
    return {
        "study": found.study.study_name if found.study else None,
        "storage": shown(found.where) if found.study else None,
        "objective": names_of(rows),
        "direction": found.directions,
        "runs": Counter(row.status for row in rows),
        "best": described | {"mean": best.average, "std": best.spread} if best.rank else None,
        "commands": commands,
        "failures": {row.folder: row.message for row in rows if row.status == FAILED},
    }


def _study_of(rows: list[Row], directions: list[str], folder: Path) -> "Study":
    """A study made of runs that Optuna did not choose, kept beside them for its dashboard."""
    import optuna
    from optuna.distributions import CategoricalDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / _DASHBOARD
    path.unlink(missing_ok=True)
    forget()
    storage = open_storage(str(path.absolute())) if len(rows) <= _MOST else None
    wanted = [optuna.study.StudyDirection[direction.upper()] for direction in directions]
    study = optuna.create_study(study_name=folder.name, storage=storage, directions=wanted)
    done = [row for row in rows if len(row.values) == len(directions) and all(map(math.isfinite, row.values))]
    done.sort(key=lambda row: row.number)
    keys = dict.fromkeys(key for row in done for key in row.params)
    spaces = {key: _space([row.params[key] for row in done if key in row.params]) for key in keys}
    for row in done:
        named = {key: isinstance(spaces[key], CategoricalDistribution) for key in row.params}
        study.add_trial(
            optuna.create_trial(
                values=row.values,
                params={key: str(value) if named[key] else value for key, value in row.params.items()},
                distributions={key: spaces[key] for key in row.params},
                user_attrs={"folder": row.folder, "status": row.status},
            )
        )
    return study


def _space(values: list[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    kinds = {type(value) for value in values}
    if kinds == {int}:
        return IntDistribution(min(values), max(values))
    if kinds <= {int, float}:
        low, high = min(values), max(values)
        return FloatDistribution(low, high, log=low > 0 and high / low >= 100)
    return CategoricalDistribution(list(dict.fromkeys(map(str, values))))
