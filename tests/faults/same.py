"""Whether two run folders hold the same run, to the bit: weights, optimizer, history, figures and metrics.csv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from src.runs.folder import RunFolder

_SUMMARY = ("status", "epochs", "steps", "best_epoch", "metrics", "objective", "parameters", "seed", "reference")
# What Lightning counts of its loops is not compared: a process that went on has begun one epoch once more.
_CHECKPOINT = {
    "last": ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "callbacks", "History", "Run"),
    "best": ("epoch", "global_step", "state_dict", "DataModule"),
}


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two folders; [] where nothing does."""
    found = []
    first, second = RunFolder(one), RunFolder(other)
    a, b = first.read_summary(), second.read_summary()
    found += [f"summary.json: {key}: {a.get(key)} and {b.get(key)}" for key in _SUMMARY if a.get(key) != b.get(key)]
    for name, parts in _CHECKPOINT.items():
        x, y = (torch.load(each.checkpoint(name), weights_only=True) for each in (first, second))
        found += [f"{name}.ckpt: {part}" for part in parts if not equal(x.get(part), y.get(part))]
    if first.metrics.read_bytes() != second.metrics.read_bytes():
        found.append("metrics.csv")
    for name in sorted({path.name for each in (first, second) for path in each.figures.glob("*.png")}):
        pictures = [each.figures / name for each in (first, second)]
        if not all(each.is_file() for each in pictures) or pictures[0].read_bytes() != pictures[1].read_bytes():
            found.append(f"figures/{name}")
    return found + [str(path) for each in (one, other) for path in each.rglob("*.partial")]


def equal(one: Any, other: Any) -> bool:
    """Whether nested values are the same, tensors to the bit."""
    if isinstance(one, torch.Tensor):
        same = isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
        return same and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and repr(one) == repr(other)
