"""The runs that words stand for: ``last``, the newest run, and ``best``, the best of the newest sweep."""

import csv
from contextlib import suppress
from pathlib import Path

from src.errors import UserError
from src.runs.files import read_file

_RUNS, _SWEEPS = Path("outputs/train"), Path("outputs/sweeps")


def find(word: str, key: str) -> Path:
    """The folder that ``last`` or ``best`` means for ``run=``, ``resume=`` or ``sweep=``, or the word as a path.

    Raises:
        UserError: there is none yet.
    """
    path = Path(word)
    if word not in ("last", "best") or path.exists():
        return path
    if key == "sweep" or word == "best":
        sweep = _newest(_SWEEPS, "multirun.yaml", f"{key}={word}")
        return sweep if key == "sweep" else _best(sweep, f"{key}={word}")
    return _newest(_RUNS, ".hydra/config.yaml", f"{key}={word}")


def newest() -> Path:
    """The run or the sweep that began last.

    Raises:
        UserError: there is none yet.
    """
    found = []
    for under, file in ((_RUNS, ".hydra/config.yaml"), (_SWEEPS, "multirun.yaml")):
        with suppress(UserError):
            folder = _newest(under, file, "")
            found.append(((folder / file).stat().st_mtime, folder))
    if not found:
        raise UserError(f"there is no run in {_RUNS}/ and no sweep in {_SWEEPS}/ yet: run=DIR or sweep=DIR names one")
    return max(found)[1]


def _newest(under: Path, file: str, said: str) -> Path:
    """The folder under one of ours that began last, as ``file`` tells, which is written at the start."""
    found = [path for depth in ("*", "*/*") for path in under.glob(f"{depth}/{file}")]
    if not found:
        raise UserError(f"{said}: there is none in {under}/ yet, or it went elsewhere: name its folder")
    return max(found, key=lambda path: path.stat().st_mtime).parents[file.count("/")]


def _best(sweep: Path, said: str) -> Path:
    try:
        lines = read_file(sweep / "leaderboard.csv").decode(errors="replace").splitlines()
        first = next(csv.DictReader(lines), {})
    except OSError:
        raise UserError(f"{said}: {sweep} has no leaderboard.csv yet; python -m src.report makes one") from None
    if not first.get("rank"):
        raise UserError(f"{said}: no run of {sweep} came to a result")
    name = Path(first.get("folder") or "..")
    if name.is_absolute() or ".." in name.parts:
        raise UserError(
            f"{said}: {sweep}/leaderboard.csv names no folder of the sweep as its best, found {str(name)!r}"
        )
    return sweep / name
