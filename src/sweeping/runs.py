"""Reads a sweep folder, ours or any other Hydra multirun: the runs, and the study if there is one."""

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from src.errors import UserError
from src.results.folder import RunFolder
from src.sweeping import owner
from src.sweeping.leaderboard import Row
from src.sweeping.pruning import SWEEPER
from src.sweeping.storage import location, open_storage

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass
class Found:
    """A sweep as it was found.

    Args:
        rows: its runs, by number.
        study: Optuna's, where there is one.
        where: its storage.
        directions: as configured; empty where nothing says.
        note: why the study could not be read, if so.
    """

    rows: list[Row]
    study: "Study | None" = None
    where: str | None = None
    directions: list[str] = field(default_factory=list)
    note: str | None = None


def read(folder: Path) -> Found:
    """Reads the sweep at ``folder``.

    Raises:
        UserError: there is no such folder, or nothing in it was left by a multirun.
    """
    if not folder.is_dir():
        raise UserError(f"sweep={folder}: no such folder")
    paths = _run_folders(folder)
    sweeper = _sweeper(folder, paths)
    found = Found([], directions=_directions(sweeper))
    try:
        _find_study(found, folder, sweeper)
    except UserError as error:
        found.note = str(error)
    known: set[str] = set()
    if found.study is not None:
        for trial in found.study.get_trials(deepcopy=False):
            row = _trial_row(trial, folder)
            known.add(row.folder)
            found.rows.append(row)
        found.directions = [direction.name.lower() for direction in found.study.directions]
    others = [path for path in paths if str(path.relative_to(folder)) not in known]
    found.rows += _folder_rows(others, folder)
    if not found.rows:
        raise UserError(f"sweep={folder}: holds no runs of a multirun")
    return found


def _run_folders(folder: Path) -> list[Path]:
    def is_run(path: Path) -> bool:
        return (path / ".hydra").is_dir() or (path / "summary.json").is_file()

    found = [path for path in folder.iterdir() if path.is_dir() and is_run(path)]
    if not found:  # a subdir pattern may hold slashes
        found = [path.parent for path in folder.rglob(".hydra") if path.parent != folder]
    return sorted(
        found,
        key=lambda path: (not path.name.isdigit(), int(path.name) if path.name.isdigit() else 0, str(path)),
    )


def _sweeper(folder: Path, runs: list[Path]) -> DictConfig:
    """The sweeper's configuration, from multirun.yaml or else from a run's own record of it."""
    for path in (folder / "multirun.yaml", *(run / ".hydra" / "hydra.yaml" for run in runs[:1])):
        if path.is_file():
            try:
                sweeper = OmegaConf.select(OmegaConf.load(path), "hydra.sweeper")
            except Exception as error:  # any of YAML's and OmegaConf's
                raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
            if isinstance(sweeper, DictConfig):
                return sweeper
    return OmegaConf.create()


def _directions(sweeper: DictConfig) -> list[str]:
    given = sweeper.get("direction")
    if given is None:
        return []
    items = list(given) if OmegaConf.is_list(given) else [given]
    return [str(item).rpartition(".")[2] for item in items]


def _find_study(found: Found, folder: Path, sweeper: DictConfig) -> None:
    import optuna

    from src.sweeping.storage import explained

    ours = sweeper.get("_target_") == SWEEPER
    storage, name = sweeper.get("storage"), sweeper.get("study_name")
    where = location(storage, folder)
    if not name or not (ours or storage) or ("://" not in where and not Path(where).is_file()):
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with explained(where):
        found.study = optuna.load_study(study_name=name, storage=open_storage(where))
        found.where = where


def _trial_row(trial: "FrozenTrial", folder: Path) -> Row:
    from src.sweeping.study import BEAT, OWNER

    notes = trial.user_attrs
    name = str(notes.get("folder", trial.number))
    summary = _summary(folder / name)
    status = str(
        notes.get("status")
        or {"COMPLETE": "completed", "FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
    )
    if status == "running" and (runner := trial.system_attrs.get(OWNER)):
        beat = trial.system_attrs.get(BEAT) or (trial.datetime_start.timestamp() if trial.datetime_start else 0.0)
        status = status if owner.alive(runner, beat, time.time()) else "interrupted"
    row = _with_summary(Row(name, status, dict(trial.params), number=trial.number), summary)
    row.message = notes.get("message") or row.message
    if trial.state.is_finished():
        row.status = status
        # A pruned trial's value is what it last reported; its run knows its best.
        if trial.values and (trial.state.name == "COMPLETE" or not row.values):
            row.values = list(trial.values)
        if row.seconds is None and trial.duration:
            row.seconds = trial.duration.total_seconds()
    else:
        row.status, row.values = status, []
    return row


def _folder_rows(paths: list[Path], folder: Path) -> list[Row]:
    rows, asked = [], []
    for index, path in enumerate(paths):
        summary = _summary(path)
        number = int(path.name) if path.name.isdigit() else index
        row = Row(str(path.relative_to(folder)), "unfinished", number=number)
        rows.append(_with_summary(row, summary))
        asked.append(_asked(path, summary))
    keys = dict.fromkeys(key for overrides in asked for key in overrides)
    changed = [key for key in keys if len({str(overrides.get(key)) for overrides in asked}) > 1]
    for row, overrides in zip(rows, asked, strict=True):
        row.params = {key: overrides[key] for key in changed if key in overrides}
    return rows


def _with_summary(row: Row, summary: dict[str, Any]) -> Row:
    if not summary:
        return row
    row.status = str(summary.get("status", row.status))
    parts = summary.get("objectives") or ([summary["objective"]] if summary.get("objective") else [])
    row.names = [str(part["name"]) for part in parts]
    row.values = [math.nan if part["value"] is None else float(part["value"]) for part in parts]
    row.metrics = summary.get("metrics", {})
    row.seconds = summary.get("seconds", {}).get("total")
    row.message = summary.get("message")
    row.command = summary.get("command")
    return row


def _summary(path: Path) -> dict[str, Any]:
    try:
        found = RunFolder(path).read_summary()
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}


def _asked(path: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """A run's overrides as key and value."""
    overrides = summary.get("overrides")
    if overrides is None:
        try:
            listed = OmegaConf.to_container(OmegaConf.load(path / ".hydra" / "overrides.yaml"), resolve=False)
            overrides = listed if isinstance(listed, list) else []
        except Exception:  # no such file, or not YAML: a run without known overrides
            overrides = []
    pairs = (str(item).lstrip("+~").partition("=") for item in overrides)
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
