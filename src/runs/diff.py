"""What two runs differ in: how they were asked for, what they were, what they came to, and where."""

import json
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from src.config.values import flatten, unresolved
from src.errors import UserError, first_line
from src.runs.folder import RunFolder
from src.runs.listing import print_aligned

_RESULT = ("status", "stopped", "message", "epochs", "best_epoch", "steps", "metrics", "parameters", "data")
_NOTHING = object()


def diff(runs: Any) -> None:
    """Prints each value that two runs differ in.

    Args:
        runs: a list of two: folders, checkpoints, ``last`` or ``best``.

    Raises:
        UserError: they are not two runs.
    """
    if not isinstance(runs, list) or len(runs) != 2:
        raise UserError(f"diff must be two runs, as in diff=[A,B], found {runs!r}")
    both = [RunFolder.existing(run, "diff") for run in runs]
    said = False
    for title, (old, new) in _sides(both).items():
        if rows := [(key, *map(_short, pair)) for key, pair in differences(old, new).items()]:
            print_aligned([(title, *(folder.path for folder in both)), *rows])
            print()
            said = True
    if not said:
        print("they differ in nothing")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What each key that differs is in both."""
    pairs = {key: (old.get(key, _NOTHING), new.get(key, _NOTHING)) for key in dict.fromkeys([*old, *new])}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _sides(both: list[RunFolder]) -> dict[str, list[dict[str, Any]]]:
    """Of both runs, what is compared, by what it is."""
    summaries = [folder.read_summary() for folder in both]
    asked = [dict(str(each).partition("=")[::2] for each in summary.get("overrides", ())) for summary in summaries]
    results = [flatten({key: summary[key] for key in _RESULT if key in summary}) for summary in summaries]
    for result, summary in zip(results, summaries, strict=True):
        result["seconds"] = summary.get("seconds", {}).get("total", _NOTHING)
    return {
        "overrides": asked,
        "configuration": [_config(folder) for folder in both],
        "result": results,
        "environment": [flatten(summary.get("environment", {})) for summary in summaries],
    }


def _config(folder: RunFolder) -> dict[str, Any]:
    try:
        values: Any = unresolved(OmegaConf.load(folder.config))
        return flatten(values)
    except Exception as error:  # any of YAML's and OmegaConf's
        raise UserError(f"{folder.config}: cannot be read ({first_line(error)})") from None


def _short(value: Any) -> str:
    """A value in a cell."""
    if value is _NOTHING:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
