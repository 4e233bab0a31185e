"""The runs and sweeps below a folder, as their files tell it; none is parsed that a glance will do for."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.data.table import listed
from src.runs.files import read_file
from src.runs.lock import held
from src.runs.shapes import sweep_or_nothing
from src.runs.summary_file import summary_or_nothing

_DEEP = 5  # folders below the one that is looked through


@dataclass
class Found:
    """A run, or a sweep with what its best run came to.

    ``started`` is in seconds since 1970; ``rows`` is the SHA-256 of the data, and ``splits`` how many of its rows
    train, validate and test; ``statuses`` counts the runs of a sweep.
    """

    path: Path
    started: float
    status: str = "unfinished"
    statuses: dict[str, int] = field(default_factory=dict)
    model: str = ""
    data: str = ""
    target: str = ""
    rows: str = ""
    splits: str = ""
    objective: str = ""
    value: float | None = None
    seconds: float | None = None

    @property
    def is_sweep(self) -> bool:
        """Whether there are several runs in it."""
        return bool(self.statuses)


def found(folder: Path) -> Iterator[Found]:
    """Every run and sweep below a folder, in no order; links are not followed. Of a sweep's folder its trials."""
    names = _names(folder)
    if _is_run(names):
        yield _run(folder)
    else:
        yield from (each for name in _folders(folder) for each in _below(folder / name, _DEEP))


def _below(folder: Path, deep: int) -> Iterator[Found]:
    names = _names(folder)
    if _is_run(names):
        yield _run(folder)
    elif "multirun.yaml" in names or "sweep.json" in names:
        yield _sweep(folder)
    elif deep:
        for name in _folders(folder):
            yield from _below(folder / name, deep - 1)


def _names(folder: Path) -> set[str]:
    with suppress(OSError):
        return set(os.listdir(folder))
    return set()


def _folders(folder: Path) -> list[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _is_run(names: set[str]) -> bool:
    return ".hydra" in names or "summary.json" in names


def _run(folder: Path) -> Found:
    summary = summary_or_nothing(folder / "summary.json")
    run = Found(folder, _started(folder / ".hydra" / "config.yaml", folder))
    run.status = str(summary.get("status") or ("running" if held(folder) else "unfinished"))
    overrides = summary.get("overrides") or _lines(folder / ".hydra" / "overrides.yaml")
    config = _text(folder / ".hydra" / "config.yaml")
    run.model = _model([str(each) for each in overrides], config)
    _tell(run, summary)
    if not run.data:
        asked = re.search(r"^data:\n(?:  .*\n)*?  path: (.*)", config, re.MULTILINE)
        run.data = asked[1].strip("'\"") if asked else _last(overrides, "data") or ""
    run.seconds = (summary.get("seconds") or {}).get("total")
    return run


def _sweep(folder: Path) -> Found:
    sweep = Found(folder, _started(folder / "multirun.yaml", folder))
    said = sweep_or_nothing(folder / "sweep.json")
    trials = [folder / name for name in _folders(folder) if name.isdecimal()]
    counts = said.get("runs") or Counter(
        summary_or_nothing(each / "summary.json").get("status", "unfinished") for each in trials
    )
    sweep.statuses = dict(counts) or {"unfinished": 0}
    sweep.status = ", ".join(f"{count} {name}" for name, count in sweep.statuses.items())
    best = folder / ((said.get("best") or {}).get("folder") or (trials[0].name if trials else "."))
    if best.resolve().is_relative_to(folder.resolve()) and best != folder:
        one = _run(best)
        sweep.model, sweep.data, sweep.target = one.model, one.data, one.target
        sweep.rows, sweep.splits = one.rows, one.splits
        if said.get("best"):
            sweep.objective, sweep.value = one.objective, one.value
    with suppress(KeyError, ValueError, csv.Error):
        rows = csv.DictReader(_text(folder / "leaderboard.csv").splitlines())
        sweep.seconds = sum(float(row["seconds"] or 0) for row in rows)
    return sweep


def _tell(run: Found, summary: dict[str, Any]) -> None:
    """Takes what a summary has."""
    data, objective = summary.get("data") or {}, summary.get("objective") or {}
    run.data, run.target, run.rows = (listed(data.get(key, "")) for key in ("source", "target", "sha256"))
    run.splits = ", ".join(f"{count} {name}" for name, count in (data.get("splits") or {}).items())
    run.objective, run.value = str(objective.get("name", "")), objective.get("value")


def _model(overrides: Sequence[str], config: str) -> str:
    """What the model was called on the command line, or else what its class is."""
    if chosen := _last(overrides, "model"):
        return chosen
    name = re.search(r"^name: (.+)", config, re.MULTILINE)
    if name and not _last(overrides, "name"):  # which is the model's unless somebody chose another
        return name[1].strip("'\"")
    target = re.search(r"^model:\n(?:  .*\n)*?  _target_: (\S+)", config, re.MULTILINE)
    parts = target[1].split(".") if target else [""]
    return parts[-2] if parts[0] == "src" else parts[-1]


def _last(overrides: Sequence[str], key: str) -> str | None:
    given = [each.partition("=")[2] for each in overrides if each.lstrip("+").partition("=")[0] == key]
    return given[-1] if given else None


def _lines(path: Path) -> list[str]:
    return [line[2:].strip("'\"") for line in _text(path).splitlines() if line.startswith("- ")]


def _text(path: Path) -> str:
    with suppress(OSError):
        return read_file(path).decode(errors="replace")
    return ""


def _started(file: Path, folder: Path) -> float:
    for path in (file, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0
