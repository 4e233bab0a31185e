"""Ridge regression on numbers and on categories of thousands of values, which never become a matrix."""

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from src.adapters.blas import one_thread

_PENALTIES = 10.0 ** np.arange(4.5, -2.1, -0.5)
_ENOUGH = 2  # penalties in a row that are no better end the search

Solution = tuple[np.ndarray, float]  # weights (numbers + entries,) and intercept


class RidgeDesign:
    """Columns of a straight line: numbers, and a column for each code.

    Numbers are taken as they are scaled, not to deviation 1: a column that is hardly ever met would weigh too much.

    Args:
        numbers: (rows, numbers).
        codes: (rows, codes), from 0, which is no column, to below ``entries``.
    """

    def __init__(self, numbers: np.ndarray, codes: np.ndarray, entries: int) -> None:
        self._numbers, self._codes, self._entries = numbers, codes, entries

    def ridge(self, target: np.ndarray, judge: Callable[[Solution], float] | None) -> tuple[float, np.ndarray, float]:
        """The least error, weights (numbers + entries,) and intercept; without ``judge`` of errors the penalty is 1.

        Normal equations by conjugate gradients, each penalty from the solution of the larger one before it.
        """
        size = self._numbers.shape[1] + self._entries
        diagonal = np.append(
            (self._numbers**2).sum(0) - len(target) * self._numbers.mean(0) ** 2,
            self._transposed(np.ones(len(target)))[-self._entries or size :],
        )
        best = (np.inf, np.zeros(size), float(target.mean()))
        weights, rises = np.zeros(size), 0
        with one_thread():
            for penalty in _PENALTIES if judge else [1.0]:
                normal = LinearOperator(
                    (size, size), lambda v, p=penalty: self._transposed(_centred(self._times(v))) + p * v
                )
                near = LinearOperator((size, size), lambda v, p=penalty: v / (diagonal + p))
                weights, _ = cg(normal, self._transposed(_centred(target)), weights, rtol=1e-10, maxiter=500, M=near)
                intercept = float(target.mean() - self._times(weights).mean())
                error = judge((weights, intercept)) if judge else 0.0
                rises = 0 if error < best[0] else rises + 1
                if error < best[0]:
                    best = (error, weights, intercept)
                if rises == _ENOUGH:
                    break
        return best

    def predict(self, numbers: np.ndarray, codes: np.ndarray, weights: np.ndarray, intercept: float) -> np.ndarray:
        """Predictions (rows,) of other rows."""
        width = numbers.shape[1]
        return numbers @ weights[:width] + _looked_up(weights[width:], codes) + intercept

    def _times(self, weights: np.ndarray) -> np.ndarray:
        width = self._numbers.shape[1]
        return self._numbers @ weights[:width] + _looked_up(weights[width:], self._codes)

    def _transposed(self, residual: np.ndarray) -> np.ndarray:
        values = np.zeros(self._entries)
        for code in self._codes.T:
            values += np.bincount(code, residual, self._entries)
        values[:1] = 0  # what is unknown has no column
        return np.append(residual @ self._numbers, values)


def _looked_up(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    return values[codes].sum(axis=1) if len(values) else np.zeros(len(codes))


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()
