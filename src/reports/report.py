"""What all runs of a sweep together show: leaderboard, sweep.json, report.html, figures, next commands."""

import json
import math
import shlex
import sys
from collections import Counter
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.data.cells import harmless_table
from src.errors import UserError, printable
from src.reports.compare import compare
from src.reports.leaderboard import Row, names_of, print_table, ranked, table
from src.reports.mixture import mixture
from src.reports.pairs import comparison
from src.reports.sweep_folder import Found, read
from src.reports.winner import Winner, winner
from src.runs.files import shown_path as _shown
from src.runs.files import write_text
from src.runs.folder import MIXTURE
from src.runs.shapes import sweep_or_nothing
from src.runs.status import FAILED
from src.runs.summary_file import summary_or_nothing
from src.sweeping.storage import JOURNAL, forget, open_storage, shown

if TYPE_CHECKING:
    from optuna.study import Study

_DASHBOARD = "dashboard.journal"  # a grid has no study; this one is made of its runs
_OURS = ("figures", *(name + end for name in (_DASHBOARD, JOURNAL) for end in ("", ".lock")))  # written in place
_GET = "dashboard, once `pip install optuna-dashboard` brought it"
_DASHBOARD_RUNS = 40  # that TensorBoard shows without being asked
_BEST = 5  # runs to look at where there are more
_MOST = 2000  # runs that are written there


def report(
    folder: Path,
    storage: str | None = None,
    whole: bool = True,
    ignore: Collection[str] = (),
    trust: Collection[str] = (),
) -> list[Row]:
    """Writes and prints the report of the sweep at ``folder``, finished or not, ours or any other multirun.

    Args:
        folder: the sweep's.
        storage: of its study; None for what lies in the folder.
        whole: whether to fit baselines and put runs together as well, for which who pressed Ctrl-C does not wait.
        ignore: codes of checks that are not told.
        trust: packages of the user's own whose nets a run may name.

    Returns:
        The leaderboard.

    Raises:
        UserError: there is nothing to report on, or the folder cannot be written.
    """
    if link := next((name for name in _OURS if (folder / name).is_symlink()), None):
        raise UserError(f"sweep={folder}: {link} is a link, expected a file or a folder of the sweep's own")
    found = read(folder, storage)
    rows = ranked(found.rows, found.directions)
    names, title = names_of(rows), found.study.study_name if found.study else folder.name
    try:
        study = found.study or _study_of(rows, found.directions, folder)
        best = winner(folder, rows, sweep_or_nothing(folder / "sweep.json")) if whole else Winner()
        mixed = mixture(folder, rows, best)
        baselines, remarks = best.rows(names), [*best.remarks, *comparison(rows, found.directions), *mixed]
        commands = _commands(rows, folder, found.where if found.study else str(folder / _DASHBOARD))
        ranks = sum(row.rank is not None for row in rows)
        board = [*rows[:ranks], *baselines, *rows[ranks:]]
        write_text(folder / "leaderboard.csv", harmless_table(table(board)).to_csv(index=False))
        write_text(folder / "sweep.json", json.dumps(_sweep(rows, found, commands, best, remarks), indent=2) + "\n")

        from src.reports.page import page, sweep_findings

        page_ = page(title, study, board, names, commands, remarks, folder, ignore, trust)
        write_text(folder / "report.html", page_)
    except OSError as error:
        raise UserError(f"sweep={folder}: the report cannot be written ({error.strerror})") from error
    place = _shown(folder)
    print_table(rows, f"{title}: {', '.join(names)}", baselines)
    for line in remarks:
        print(printable(line))
    summary = summary_or_nothing(folder / rows[0].folder / "summary.json")
    for finding in sweep_findings(study, board, names, summary, ignore):
        print(printable(str(finding)))
    for said, line in commands.items():
        print(printable(f"{said}: {line}"))
    print(printable(f"curves: tensorboard --logdir {shlex.quote(str(place))}{_shown_first(rows)}"))
    print(printable(f"report: {place / 'report.html'}, {place / 'leaderboard.csv'}"))
    compare(folder, rows, title)
    if found.note:
        print(printable(f"note: {found.note}; this report is made from the run folders alone"), file=sys.stderr)
    return rows


def _commands(rows: list[Row], folder: Path, where: str) -> dict[str, str]:
    best = rows[0]
    again = {"train the best again": best.command} if best.rank and best.command else {}
    predict = {}
    if best.folds:
        predict[f"predict with the {len(best.folds)} models of run {best.folder}"] = folder / best.folder
    if (folder / MIXTURE).is_dir():
        predict["predict with the ensemble of runs"] = folder / MIXTURE
    for said, path in predict.items():
        again[said] = f"python -m src.predict run={shlex.quote(str(_shown(path)))} input=FILE.csv"
    storage = shown(where) if "://" in where else str(_shown(Path(where)))
    there = find_spec("optuna_dashboard") is not None
    return again | {("dashboard" if there else _GET): f"optuna-dashboard {shlex.quote(storage)}"}


def _shown_first(rows: list[Row]) -> str:
    """Which runs to look at where TensorBoard, which has so many, begins with none."""
    best = "|".join(row.folder for row in rows[:_BEST] if row.rank)
    if len(rows) <= _DASHBOARD_RUNS or not best:
        return ""
    return f" (it shows none of {len(rows)} runs at first: filter runs by ^({best})$ and tick them all)"


def _sweep(
    rows: list[Row], found: Found, commands: dict[str, str], winner: Winner, remarks: list[str]
) -> dict[str, Any]:
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
        "baselines": winner.baselines,
        "fitted_for": winner.fitted_for,
        "remarks": remarks,
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
