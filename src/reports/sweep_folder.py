"""Reads a sweep folder, ours or any other Hydra multirun: the runs, and the study if there is one."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.adapters.hydra_compose import config_dir
from src.config.yaml_files import load
from src.errors import UserError, first_line
from src.reports.leaderboard import Row
from src.runs.folder import MIXTURE
from src.runs.summary_file import summary_or_nothing
from src.sweeping.lease import LEASE, at_work
from src.sweeping.pruning import SWEEPER
from src.sweeping.storage import directions_of, explained, location, open_storage, shown
from src.training.task import direction_of, objectives_of

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


_ADDED = ("hydra.mode=", "hydra.sweep.dir=", "hydra.sweeper.direction=", "hydra.sweeper.study_name=")


@dataclass
class Found:
    """A sweep as it was found."""

    rows: list[Row]  # by number
    directions: list[str]
    where: str  # the study's storage
    study: "Study | None"
    note: str | None  # why the study could not be read


def read(folder: Path, storage: str | None = None) -> Found:
    """Reads the sweep at ``folder``.

    Args:
        folder: the sweep's. Where it names a storage outside itself, a database say, its word alone opens nothing.
        storage: of its study, where somebody else than the folder names it.

    Raises:
        UserError: there is no such folder, or nothing in it was left by a multirun.
    """
    if not folder.is_dir():
        raise UserError(f"sweep={folder}: no such folder")
    paths = _run_folders(folder)
    sweeper = _sweeper(folder, paths)
    own = sweeper.get("storage")
    where = location(storage or own, folder)
    study, note = None, None
    if storage or not own or Path(where).parent == folder.absolute():
        try:
            study = _study(where, sweeper)
        except UserError as error:
            note = str(error)
    else:
        note = f"the folder says that its study is at {shown(str(own))}, which storage=URL opens"
    rows = [_trial_row(trial, folder) for trial in study.get_trials(deepcopy=False)] if study else []
    known = {row.folder for row in rows}
    rows += folder_rows([path for path in paths if str(path.relative_to(folder)) not in known], folder)
    if not rows:
        raise UserError(f"sweep={folder}: holds no runs of a multirun" + (f"; {note}" if note else ""))
    names = next((row.names for row in rows if row.names), [])
    directions = [direction.name.lower() for direction in study.directions] if study else directions_of(sweeper)
    if not directions or (names and not study and len(names) != len(directions)):
        directions = [direction_of(name) for name in names or ["objective"]]
    if len(names) != len(directions):
        several = len(directions) > 1
        names = [f"objective {index + 1}" if several else "objective" for index in range(len(directions))]
    for row in rows:
        row.names = names
    return Found(rows, directions, where, study, note)


def _run_folders(folder: Path) -> list[Path]:
    inside = [path for path in folder.iterdir() if path.name.partition(".")[0] not in ("", MIXTURE)]
    found = [path for path in inside if (path / ".hydra").is_dir() or (path / "summary.json").is_file()]
    if not found:  # a subdir pattern may hold slashes
        every = (each.parent for path in inside for each in path.rglob(".hydra"))
        found = [path for path in every if path.parent.name != "members"]
    return sorted(found, key=lambda path: (int(path.name) if path.name.isdigit() else float("inf"), str(path)))


def _sweeper(folder: Path, runs: list[Path]) -> dict[str, Any]:
    """The sweeper's configuration, from multirun.yaml or else from a run's own record of it."""
    for path in (folder / "multirun.yaml", *(run / ".hydra" / "hydra.yaml" for run in runs[:1])):
        if path.is_file():
            try:
                sweeper = load(path).get("hydra", {}).get("sweeper")
            except Exception as error:  # any of YAML's, or there are no keys
                raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
            if isinstance(sweeper, dict):
                return sweeper
    return {}


def asked(folder: Path) -> str:
    """The command of a sweep, without what its start adds to it; empty where multirun.yaml does not tell."""
    try:
        hydra: Any = load(folder / "multirun.yaml")["hydra"]
        words = config_dir(hydra) + [str(word) for key in ("task", "hydra") for word in hydra["overrides"][key]]
    except Exception:  # no such file, or not Hydra's
        return ""
    return shlex.join(["python", "-m", "src.train", "-m", *(word for word in words if not word.startswith(_ADDED))])


def _study(where: str, sweeper: dict[str, Any]) -> "Study | None":
    import optuna

    name = sweeper.get("study_name")
    kept = sweeper.get("_target_") == SWEEPER or sweeper.get("storage")
    if not name or not kept or ("://" not in where and not Path(where).is_file()):
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with explained(where):
        return optuna.load_study(study_name=name, storage=open_storage(where))


def _trial_row(trial: "FrozenTrial", folder: Path) -> Row:
    notes, state = trial.user_attrs, trial.state.name
    name = str(notes.get("folder", trial.number))
    name = str(trial.number) if ".." in Path(name).parts or Path(name).is_absolute() else name
    row = _row(name, trial.number, summary_or_nothing(folder / name / "summary.json"))
    row.params = dict(trial.params)
    row.message = notes.get("message") or row.message
    row.status = str(notes.get("status") or {"COMPLETE": "completed", "FAIL": "failed"}.get(state, state.lower()))
    if state == "RUNNING" and LEASE in trial.system_attrs and not at_work(trial, folder):
        row.status = "interrupted"
    if not trial.state.is_finished():
        row.values = []
    # A pruned trial's value is what it last reported; its run knows its best.
    elif trial.values and (state == "COMPLETE" or not row.values):
        row.values = list(trial.values)
    if row.seconds is None and trial.duration:
        row.seconds = trial.duration.total_seconds()
    return row


def folder_rows(paths: Sequence[Path], folder: Path) -> list[Row]:
    """A row for each run folder, named by its path from ``folder``; ``params`` are what their overrides differ in."""
    rows, asked = [], []
    for index, path in enumerate(paths):
        summary = summary_or_nothing(path / "summary.json")
        number = int(path.name) if path.name.isdigit() else index
        rows.append(_row(str(path.relative_to(folder)), number, summary))
        asked.append(_asked(path, summary))
    keys = dict.fromkeys(key for overrides in asked for key in overrides)
    changed = [key for key in keys if len({str(overrides.get(key)) for overrides in asked}) > 1]
    for row, overrides in zip(rows, asked, strict=True):
        row.params = {key: overrides[key] for key in changed if key in overrides}
    return rows


def _row(name: str, number: int, summary: dict[str, Any]) -> Row:
    objectives, data = objectives_of(summary), summary.get("data") or {}
    return Row(
        folder=name,
        status=str(summary.get("status", "unfinished")),
        values=list(objectives.values()),
        names=list(objectives),
        metrics=summary.get("metrics", {}),
        seconds=summary.get("seconds", {}).get("total"),
        message=summary.get("message"),
        command=summary.get("command"),
        number=number,
        seed=summary.get("seed"),
        source=data.get("sha256", ""),
        splits=data.get("splits", {}),
        folds=_folds(next(iter(objectives), ""), summary),
    )


def _folds(objective: str, summary: dict[str, Any]) -> list[float]:
    """An out-of-fold objective on each fold."""
    split, _, metric = objective.partition("/")
    each = [member.get("metrics", {}).get(f"val/{metric}") for member in summary.get("members", [])]
    return [] if split != "oof" or None in each else each


def _asked(path: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """A run's overrides as key and value."""
    overrides = summary.get("overrides")
    if overrides is None:
        with suppress(Exception):  # no such file, or not YAML: a run without known overrides
            overrides = load(path / ".hydra" / "overrides.yaml")
    pairs = (str(item).lstrip("+~").partition("=") for item in overrides or [])
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    for reader in (json.loads, float):
        with suppress(ValueError):
            return reader(text)
    return text
