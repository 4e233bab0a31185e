"""The straight line that least squares gives at once: what every training is held against."""

from dataclasses import dataclass

import numpy as np

from src.results.metrics import regression_metrics

_CHUNK = 1 << 16


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


def least_squares(features: np.ndarray, target: np.ndarray) -> Line:
    """Ordinary least squares with intercept of (rows, features) on (rows,).

    Columns are centred, then reduced chunk by chunk to one triangular factor (Golub and Van Loan,
    Matrix Computations, §5.2), so that memory does not grow with the rows.
    """
    means = features.mean(axis=0, dtype=np.float64)
    target_mean = float(target.mean(dtype=np.float64))
    width = features.shape[1]
    factor = np.empty((0, width + 1))
    for start in range(0, len(target), _CHUNK):
        rows = slice(start, start + _CHUNK)
        chunk = np.column_stack([features[rows] - means, target[rows].astype(np.float64) - target_mean])
        factor = np.linalg.qr(np.vstack([factor, chunk]), mode="r")
    slopes = np.linalg.lstsq(factor[:, :width], factor[:, width], rcond=None)[0]
    return Line(slopes, target_mean - float(slopes @ means))


def reference(features: np.ndarray, target: np.ndarray, feature_names: list[str]) -> dict[str, float]:
    """Parameters, mse and r2 of the least-squares line of these rows."""
    line = least_squares(features, target)
    figures = regression_metrics(line(features), target)
    return line.parameters(feature_names) | {"mse": figures["mse"], "r2": figures["r2"]}


def largest_stable_lr(features: np.ndarray, momentum: float = 0.0) -> float:
    """The learning rate above which full-batch gradient descent on mean squared error diverges.

    2 (1 + momentum) / λ, λ the largest eigenvalue of the loss's Hessian 2/rows · [x 1]ᵀ[x 1]
    (Goh, Why Momentum Really Works, 2017). Infinite for a loss without curvature.
    """
    rows = np.column_stack([features.astype(np.float64), np.ones(len(features))])
    curvature = float(np.linalg.eigvalsh(2 / len(rows) * rows.T @ rows)[-1])
    return 2 * (1 + momentum) / curvature if curvature else float("inf")
