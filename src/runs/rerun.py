"""Training a run again from its own folder, ``rerun=DIR``: as it was, in a new folder, and held against it."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from src.config.keys import SHOWS
from src.config.kinds import KINDS
from src.config.values import flatten
from src.errors import UserError
from src.runs.environment import PACKAGES
from src.runs.folder import RunFolder
from src.runs.restore import load_config
from src.runs.status import DIVERGED, has_result
from src.secrets import HIDDEN

_ASKS = ("rerun", "trust")
_RESULT = ("status", "epochs", "steps", "best_epoch", "metrics", "objective", "parameters", "weights")
# What may make a run come out otherwise, as summary.json has it.
_CAUSES = {
    "code": ("environment.git", "environment.dirty"),
    "data": ("data.rows", "data.sha256"),
    "packages": tuple(f"environment.{name}" for name in ("python", *PACKAGES)),
    "processor": ("environment.processor", "environment.device", "environment.threads"),
}
_TENSORS = {"last": ("state_dict", "optimizer_states", "lr_schedulers", "History"), "best": ("state_dict",)}


def repeated(cfg: DictConfig, overrides: Sequence[str], trust: Collection[str] = ()) -> DictConfig:
    """The configuration of the run in ``cfg.rerun``, whole and unchanged.

    Args:
        cfg: composed from conf/ and the overrides.
        overrides: of the task.
        trust: packages of the user's own whose classes the folder may name.

    Raises:
        UserError: there is no such run, it was ended before it came to anything, its configuration hides a secret,
            it names what a folder may not, or an override would change it.
    """
    folder = RunFolder.existing(cfg.rerun, "rerun")
    said = f"rerun={folder.path}"
    keys = {each: each.lstrip("+~").partition("=")[0].partition(".")[0] for each in overrides}
    if others := [each for each, key in keys.items() if key not in (*_ASKS, *SHOWS)]:
        raise UserError(f"{said}: repeats the run as it was, found {others[0]}: {_command(folder)} changes it")
    before = load_config(folder, tuple(KINDS), trust, key="rerun")
    status = folder.read_summary().get("status") or "unfinished"
    if not (has_result(status) or status == DIVERGED):
        raise UserError(f"{said}: the run is {status}, there is nothing that it came to; resume={folder.path} goes on")
    if hidden := next((key for key, value in flatten(before).items() if HIDDEN in str(value)), None):
        raise UserError(f"{said}: {hidden} was not kept, for it was taken for a secret: {_command(folder)}")
    with open_dict(before):
        for name in cfg:
            if name in _ASKS or name not in before or name in keys.values():
                before[name] = cfg[name]
    return before


def compared(before: RunFolder, now: RunFolder) -> list[str]:
    """Whether two runs came to the same to the bit, and in lines what differs, and what of their surroundings does.

    Args:
        before, now: of the same configuration, both at an end.
    """
    old, new = before.read_summary(), now.read_summary()
    found = list(_figures(old, new))
    pairs = list(zip(before.members() or [before], now.members() or [now], strict=False))
    if len(before.members()) != len(now.members()):
        found.append(f"models: {len(before.members())} and {len(now.members())}")
    for one, other in pairs:
        found += [f"{_inside(one, before)}{text}" for text in _files(one, other)]
    if not _same_bytes(before.out_of_fold, now.out_of_fold):
        found.append(before.out_of_fold.name)
    surroundings = list(_surroundings(old, new))
    if not found:
        what = "weights, optimizer, history and figures"
        return [f"the same to the bit as {before.path}: {what}", *surroundings]
    known = surroundings or [f"  {', '.join(_CAUSES)}: the same"]
    around = before.path.absolute().parent
    if around.name == "members" or (around / "multirun.yaml").is_file():
        known.append("  it may have been trained in a stack, which comes to what a run alone does within 1e-5")
    return [f"not the same as {before.path}:", *(f"  {text}" for text in found), *known]


def _figures(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What the summaries differ in, and by how much where that is a number."""
    a, b = (flatten({key: each[key] for key in _RESULT if key in each}) for each in (old, new))
    for key in dict.fromkeys([*a, *b]):
        x, y = a.get(key), b.get(key)
        if x == y or (_is_nan(x) and _is_nan(y)):
            continue
        relative = (
            f", relative {abs(y - x) / abs(x):.1e}" if isinstance(x, float) and isinstance(y, float) and x else ""
        )
        yield f"{key}: {x} and {y}{relative}"


def _files(one: RunFolder, other: RunFolder) -> Iterator[str]:
    """What the files of two runs of one model differ in."""
    from src.training.checkpoint_reading import read

    if not _same_bytes(one.metrics, other.metrics):
        yield "metrics.csv"
    for name, parts in _TENSORS.items():
        paths = [each.checkpoints / f"{name}.ckpt" for each in (one, other)]
        if not all(path.is_file() for path in paths):
            if any(path.is_file() for path in paths):
                yield f"{name}.ckpt: there is only one"
            continue
        x, y = map(read, paths)
        for part in parts:
            if (gap := _gap(x.get(part), y.get(part))) is not None:
                yield f"{name}.ckpt: {part}" + (f", by at most {gap:.1e}" if math.isfinite(gap) else "")


def _gap(one: Any, other: Any) -> float | None:
    """The largest difference of nested values, infinite where they are of other kinds; None where no bit differs."""
    from torch import Tensor

    if isinstance(one, Tensor):
        if not isinstance(other, Tensor) or one.dtype != other.dtype or one.shape != other.shape:
            return math.inf
        if one.numpy().tobytes() == other.numpy().tobytes():
            return None
        return float((one.double() - other.double()).abs().max())
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return _largest(_gap(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and type(one) is type(other) and len(one) == len(other):
        return _largest(map(_gap, one, other))
    return None if type(one) is type(other) and repr(one) == repr(other) else math.inf


def _largest(gaps: Iterator[float | None]) -> float | None:
    return max((gap for gap in gaps if gap is not None), default=None)


def _surroundings(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What code, data, packages or processor were and are, a line each that differs."""
    a, b = (flatten({key: each.get(key, {}) for key in ("environment", "data")}) for each in (old, new))
    for cause, keys in _CAUSES.items():
        # What an older run did not note is not known to differ.
        changed = [key for key in keys if key in a and key in b and a[key] != b[key]]
        if changed:
            yield f"  {cause}: " + ", ".join(f"{key.rpartition('.')[2]} {a[key]}, now {b[key]}" for key in changed)


def _same_bytes(one: Path, other: Path) -> bool:
    """Whether two files are the same, or neither is there."""
    if not (one.is_file() and other.is_file()):
        return one.is_file() == other.is_file()
    return one.read_bytes() == other.read_bytes()


def _inside(one: RunFolder, whole: RunFolder) -> str:
    return "" if one is whole else f"{one.path.relative_to(whole.path)}: "


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _command(folder: RunFolder) -> str:
    return str(folder.read_summary().get("command") or "its command")
