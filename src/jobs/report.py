"""What all runs of a sweep together show: leaderboard, sweep.json, report.html, figures, next commands."""

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.results.status import FAILED
from src.sweeping.leaderboard import Row, print_table, ranked, write_csv
from src.sweeping.runs import Found, read
from src.sweeping.storage import shown

if TYPE_CHECKING:
    from optuna.study import Study

log = logging.getLogger(__name__)

_DASHBOARD = "dashboard.journal"  # a grid has no study; this one is made of its runs
_MOST = 2000  # runs that are written there


def report(folder: Path) -> list[Row]:
    """Writes and prints the report of the sweep at ``folder``, finished or not, ours or any other multirun.

    Returns:
        The leaderboard.

    Raises:
        UserError: there is nothing to report on, or the folder cannot be written.
    """
    found = read(folder)
    names = next((row.names for row in found.rows if row.names), None)
    directions = _directions(found, names)
    names = names if names and len(names) == len(directions) else _numbered(len(directions))
    for row in found.rows:
        row.names = names
    rows = ranked(found.rows, directions)
    try:
        study = found.study or _study_of(rows, directions, folder)
        commands = _commands(rows, found.where or str(folder / _DASHBOARD))
        write_csv(rows, folder / "leaderboard.csv")
        _write(
            folder / "sweep.json",
            json.dumps(_sweep(rows, names, directions, found, commands), indent=2) + "\n",
        )

        from src.sweeping.page import page

        title = found.study.study_name if found.study else folder.name
        _write(folder / "report.html", page(title, study, rows, names, commands))
    except OSError as error:
        raise UserError(f"sweep={folder}: the report cannot be written ({error.strerror})") from error
    place = _shown(folder)
    print_table(rows, f"{title}: {', '.join(names)}")
    for said, line in commands.items():
        print(f"{said}: {line}")
    print(f"report: {place / 'report.html'}, {place / 'leaderboard.csv'}")
    from src.jobs.compare import compare

    compare(folder)
    if found.note:
        print(f"note: {found.note}; this report is made from the run folders alone", file=sys.stderr)
    return rows


def _directions(found: Found, names: list[str] | None) -> list[str]:
    from src.training.task import larger_is_better

    if found.directions and (not names or found.study or len(names) == len(found.directions)):
        return found.directions
    return ["maximize" if larger_is_better(name) else "minimize" for name in names or ["objective"]]


def _numbered(count: int) -> list[str]:
    return ["objective"] if count == 1 else [f"objective {index + 1}" for index in range(count)]


def _commands(rows: list[Row], where: str) -> dict[str, str]:
    commands = {}
    if rows[0].rank is not None and rows[0].command:
        commands["train the best again"] = rows[0].command
    commands["dashboard"] = (
        f"optuna-dashboard {shlex.quote(shown(str(_shown(Path(where))) if '://' not in where else where))}"
    )
    return commands


def _shown(path: Path) -> Path:
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _sweep(
    rows: list[Row], names: list[str], directions: list[str], found: Found, commands: dict[str, str]
) -> dict[str, Any]:
    """sweep.json."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    best = rows[0] if rows[0].rank is not None else None
    return {
        "study": found.study.study_name if found.study else None,
        "storage": shown(found.where) if found.where else None,
        "objective": names,
        "direction": directions,
        "runs": counts,
        "best": None
        if best is None
        else {
            "folder": best.folder,
            "values": best.values,
            "params": best.params,
            "seeds": best.seeds,
            "mean": best.average,
            "std": best.spread,
        },
        "commands": commands,
        "failures": {row.folder: row.message for row in rows if row.status == FAILED},
    }


def _study_of(rows: list[Row], directions: list[str], folder: Path) -> "Study":
    """A study made of runs that Optuna did not choose, kept beside them for its dashboard."""
    import optuna
    from optuna.study import StudyDirection
    from optuna.trial import TrialState, create_trial

    from src.sweeping.storage import forget, open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / _DASHBOARD
    path.unlink(missing_ok=True)
    forget()
    storage = open_storage(str(path.absolute())) if len(rows) <= _MOST else None
    wanted = [StudyDirection[direction.upper()] for direction in directions]
    study = optuna.create_study(study_name=folder.name, storage=storage, directions=wanted)
    done = [row for row in rows if len(row.values) == len(directions) and all(v == v for v in row.values)]
    keys = [key for row in done for key in row.params]
    spaces = {key: _space([row.params[key] for row in done if key in row.params]) for key in dict.fromkeys(keys)}
    for row in sorted(done, key=lambda row: row.number):
        numbers = {
            key: not isinstance(space, optuna.distributions.CategoricalDistribution) for key, space in spaces.items()
        }
        params = {key: value if numbers[key] else str(value) for key, value in row.params.items()}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=row.values,
                params=params,
                distributions={key: spaces[key] for key in params},
                user_attrs={"folder": row.folder, "status": row.status},
            )
        )
    return study


def _space(values: list[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return IntDistribution(min(values), max(values))
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        return FloatDistribution(low, high, log=low > 0 and high / low >= 100)
    return CategoricalDistribution(list(dict.fromkeys(str(value) for value in values)))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
