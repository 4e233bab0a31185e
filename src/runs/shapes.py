"""What summary.json, sweep.json and a checkpoint may hold: asked of each, for a folder may come from anywhere.

A type stands for itself, a function for what it is true of, a list for one of any length, a tuple for any of several.
Of the parts of a dict those with a question mark may be missing, and ``*`` is each; what has no name may be anything.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FunctionType, NoneType
from typing import Any

from src.runs.files import read_file
from src.training.task import SPLITS


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _error(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and value >= 0)


_FIGURE = (int, float, NoneType)  # None: JSON has no infinity
_ERRORS = {f"{split}/{name}?": _error for split in (*SPLITS, "oof") for name in ("mse", "rmse", "mae")}
_FIGURES = _ERRORS | {"*": _FIGURE}
_OBJECTIVE = {"name": str, "value": _FIGURE}
_MODEL = {"status?": str, "best_epoch?": int, "metrics?": _FIGURES}
_DATA = {
    "source?": str,
    "rows?": _count,
    "splits?": {"*": _count},
    "features?": [str],
    "target?": (str, [str]),
    "sha256?": str,
    "weight?": str,
    "left_out?": {"*": str},
}
_OF_EACH = (*_FIGURE, _FIGURES, [_FIGURE])  # split, or target
_INTERVAL = {"level?": _FIGURE, "half_width?": _OF_EACH, "levels?": [_FIGURE], "coverage?": _OF_EACH}
SUMMARY = _MODEL | {
    "message?": (str, NoneType),
    "command?": str,
    "overrides?": [str],
    "seed?": int,
    "epochs?": int,
    "steps?": int,
    "stopped?": str,
    "note?": str,
    "objective?": (_OBJECTIVE, NoneType),
    "objectives?": [_OBJECTIVE],
    "deviations?": _FIGURES,
    "parameters?": _FIGURES,
    "reference?": _FIGURES,
    "baselines?": {"*": _FIGURES},
    "interval?": _INTERVAL,
    "seconds?": _FIGURES,
    "data?": _DATA,
    "environment?": {},
    "members?": [_MODEL],
    "runs?": [str],
    "weights?": [_FIGURE],
}
SWEEP = {"runs?": {"*": int}, "best?": ({"folder": str}, NoneType), "baselines?": {"*": _FIGURES}, "fitted_for?": {}}
_NUMBER = (int, float)
_COUNTS: dict[str, Any] = dict.fromkeys(
    ("ready?", "started?", "processed?", "completed?", "_batches_that_stepped?"), int
)
_COUNTS["*"] = (int, bool, _COUNTS)
_NAMED = {"_target_?": (str, NoneType)}
CHECKPOINT = {
    "epoch": int,
    "global_step": int,
    "state_dict": {},
    "optimizer_states": [{"state": {"*": {}}, "param_groups": [{"lr?": _NUMBER}]}],
    "lr_schedulers": [{"best?": _NUMBER, "num_bad_epochs?": int, "cooldown_counter?": int, "last_epoch?": int}],
    "callbacks": {"*": {"waited?": int}},
    "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": int}}, "*": _COUNTS}, "*": _COUNTS},
    "History?": {"monitor?": str, "epoch?": int, "step?": int, "value?": _NUMBER, "state_dict?": {}},
    "Run?": {
        "rows": str,
        "sha256": str,
        "optimizer": _NAMED,
        "scheduler": _NAMED,
        "whole": bool,
        "ended?": (str, NoneType),
    },
}


def sweep_or_nothing(path: Path) -> dict[str, Any]:
    """sweep.json; {} where there is no such file, or none of ours."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(read_file(path))
        return {} if any(misfits(found, SWEEP)) else found
    return {}


def misfits(value: Any, shape: Any = SUMMARY, key: str = "") -> Iterator[str]:
    """The keys of a plain value, as JSON has it, under which something else is than its shape allows."""
    if isinstance(shape, tuple):
        if type(value) not in shape and all(any(misfits(value, each, key)) for each in shape):
            yield key
    elif isinstance(shape, dict) and isinstance(value, dict):
        for name, inner in shape.items():
            for part in value if name == "*" else (name.rstrip("?"),):
                if part in value:
                    yield from misfits(value[part], inner, f"{key}.{part}")
                elif not name.endswith("?"):
                    yield f"{key}.{part}"
    elif isinstance(shape, list) and isinstance(value, list):
        for place, each in enumerate(value):
            yield from misfits(each, shape[0], f"{key}.{place}")
    elif isinstance(shape, FunctionType):
        if not shape(value):
            yield key
    elif type(value) is not shape:
        yield key
