"""Figures of a regression, always in the target's own unit."""

import math

import numpy as np

METRICS = ("mse", "rmse", "mae", "r2")
LARGER_IS_BETTER = ("r2",)


def regression_metrics(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Mean squared error, its root, mean absolute error and r2 of float64 (rows,) predictions.

    r2 = 1 - mse / variance of the target (nan for a constant target).
    """
    variance = float(target.var(dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        error = prediction - target
        mse = float(np.einsum("i,i->", error, error)) / len(error)
        mae = float(np.abs(error, out=error).mean())
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": mae,
        "r2": 1 - mse / variance if variance else math.nan,
    }


def larger_is_better(name: str) -> bool:
    """Whether a figure such as ``val/r2`` is to be maximized."""
    return name.rpartition("/")[2] in LARGER_IS_BETTER
