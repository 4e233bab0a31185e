"""The straight line that least squares gives at once: what every training is held against."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from src.adapters.blas import one_thread

Chunks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Line:
    """y = slopes · x + intercept, in raw units; slopes are (features,)."""

    slopes: np.ndarray
    intercept: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predictions (rows,) for (rows, features), float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            return features @ self.slopes + self.intercept

    def parameters(self, feature_names: list[str]) -> dict[str, float]:
        """``slope`` (one feature) or ``slope/NAME`` each, and ``intercept``."""
        if len(feature_names) == 1:
            named = {"slope": float(self.slopes[0])}
        else:
            named = {f"slope/{n}": float(s) for n, s in zip(feature_names, self.slopes, strict=True)}
        return named | {"intercept": self.intercept}


def parameters(lines: Sequence[Line], features: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """Those of the line to each target by name; of several targets a name ends with its target's."""
    ends = [f"/{target}" for target in targets] if len(targets) > 1 else [""]
    found = [line.parameters(list(features)) for line in lines]
    return {f"{name}{end}": value for own, end in zip(found, ends, strict=True) for name, value in own.items()}


def least_squares(chunks: Chunks, weights: np.ndarray | None = None) -> tuple[Line, float, float]:
    """Least squares with intercept: the line, its mean squared error and its r2.

    ``chunks`` gives the rows anew at each call, as pairs of (rows, features) and (rows,). Columns are
    centred, then reduced chunk by chunk to one triangular factor (Golub and Van Loan, Matrix
    Computations, §5.2), so that memory does not grow with the rows. ``weights`` (rows,), 1 in the mean, are how much
    each row counts, None for all alike.
    """
    total, count = np.zeros(1), 0
    for features, target in chunks():
        if weights is None:
            sums = np.append(features.sum(axis=0, dtype=np.float64), target.sum(dtype=np.float64))
        else:
            own = weights[count : count + len(target)]
            sums = own @ np.column_stack([features, target]).astype(np.float64)
        total = total + sums
        count += len(target)
    means = total / count
    width = len(means) - 1
    factor = np.empty((0, width + 1))
    done = 0
    with one_thread():
        for features, target in chunks():
            block = np.column_stack([features, target]).astype(np.float64) - means
            if weights is not None:
                block *= np.sqrt(weights[done : done + len(target), None])
            factor = np.asarray(np.linalg.qr(np.vstack([factor, block]), mode="r"))
            done += len(target)
        slopes = np.linalg.lstsq(factor[:, :width], factor[:, width], rcond=None)[0]
    residual = factor[:, width] - factor[:, :width] @ slopes
    variance = float(factor[:, width] @ factor[:, width]) / count
    mse = float(residual @ residual) / count
    line = Line(slopes, float(means[width] - slopes @ means[:width]))
    return line, mse, 1 - mse / variance if variance else float("nan")


def largest_stable_lr(features: np.ndarray, momentum: float = 0.0, weights: np.ndarray | None = None) -> float:
    """The learning rate above which full-batch gradient descent on mean squared error diverges.

    2 (1 + momentum) / λ, λ the largest eigenvalue of the loss's Hessian 2/rows · [x 1]ᵀ[x 1]
    (Goh, Why Momentum Really Works, 2017). Infinite for a loss without curvature. ``weights`` as in ``least_squares``.
    """
    rows = np.column_stack([features.astype(np.float64), np.ones(len(features))])
    if weights is not None:
        rows *= np.sqrt(weights)[:, None]
    curvature = float(np.linalg.eigvalsh(2 / len(rows) * rows.T @ rows)[-1])
    return 2 * (1 + momentum) / curvature if curvature else float("inf")
