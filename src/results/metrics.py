"""Figures of a regression, always in the target's own unit."""

import math
from collections.abc import Iterable

import numpy as np

METRICS = ("mse", "rmse", "mae", "r2")
LARGER_IS_BETTER = ("r2",)


def regression_metrics(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Mean squared error, its root, mean absolute error and r2.

    ``pairs`` are (prediction, target) a few rows at a time, (rows,) each, float64 predictions, so that
    memory does not grow with the rows. r2 = 1 - mse / variance of the target (nan for a constant target).
    """
    count, squared, absolute = 0, 0.0, 0.0
    pivot, total, squares = 0.0, 0.0, 0.0  # of the target, around a number near its mean so that nothing cancels
    for prediction, target in pairs:
        if not count:
            pivot = float(target.mean(dtype=np.float64))
        count += len(target)
        with np.errstate(over="ignore", invalid="ignore"):
            error = prediction - target
            squared += float(error @ error)
            absolute += float(np.abs(error).sum())
        centred = target.astype(np.float64) - pivot
        total += float(centred.sum())
        squares += float(centred @ centred)
    mse, variance = squared / count, squares / count - (total / count) ** 2
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": absolute / count,
        "r2": 1 - mse / variance if variance else math.nan,
    }


def larger_is_better(name: str) -> bool:
    """Whether a figure such as ``val/r2`` is to be maximized."""
    return name.rpartition("/")[2] in LARGER_IS_BETTER
