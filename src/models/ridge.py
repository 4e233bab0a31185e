"""Ridge regression on numbers and on categories of thousands of values, which never become a matrix."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from src.adapters.blas import one_thread

_PENALTIES = 10.0 ** np.arange(4.5, -2.1, -0.5)
_ENOUGH = 2  # penalties in a row that are no better end the search

# Numbers (rows, numbers) and codes (rows, codes), from 0, which is no column of the line, to below the entries.
Features = tuple[np.ndarray, np.ndarray]
Rows = tuple[
    Features, np.ndarray, np.ndarray | None
]  # with a target and weights (rows,), 1 in the mean; None: all alike


@dataclass(frozen=True)
class RidgeLine:
    """A straight line: a slope for each number and a value for each code, (numbers,) and (entries,)."""

    slopes: np.ndarray
    values: np.ndarray
    intercept: float

    def __call__(self, features: Features) -> np.ndarray:
        """Predictions (rows,)."""
        return _times(np.append(self.slopes, self.values), features) + self.intercept


def ridge(train: Rows, entries: int, val: Rows | None = None) -> tuple[RidgeLine, float]:
    """The line of the penalty that has the least mean squared error on validation rows, and that error.

    Without such rows the penalty is 1, and the error that of the training rows. Numbers are taken as they are scaled,
    not to deviation 1: a column that is hardly ever met would weigh too much. Normal equations are solved by conjugate
    gradients, each penalty from the solution of the larger one before it.

    Args:
        train: what the line learns.
        entries: different codes of all columns together.
        val: what chooses.
    """
    features, target, shares = train
    rows = np.ones(len(target)) if shares is None else shares
    numbers, size = features[0], features[0].shape[1] + entries

    def centred(values: np.ndarray) -> np.ndarray:
        return rows * (values - np.average(values, weights=shares))

    squares = rows @ numbers**2 - (rows @ numbers) ** 2 / len(target)
    counts = _transposed(rows, features, entries)[numbers.shape[1] :]
    diagonal, right = np.append(squares, counts), _transposed(centred(target), features, entries)

    def fitted(weights: np.ndarray) -> RidgeLine:
        intercept = np.average(target - _times(weights, features), weights=shares)
        slopes, values = np.split(weights, [numbers.shape[1]])
        return RidgeLine(slopes, values, float(intercept))

    best, least, rises, weights = fitted(np.zeros(size)), np.inf, 0, np.zeros(size)
    with one_thread():
        for penalty in _PENALTIES if val else [1.0]:

            def normal(weights: np.ndarray, penalty: float = penalty) -> np.ndarray:
                return _transposed(centred(_times(weights, features)), features, entries) + penalty * weights

            scaled = LinearOperator((size, size), lambda v, p=penalty: v / (diagonal + p))
            weights, _ = cg(LinearOperator((size, size), normal), right, weights, rtol=1e-10, maxiter=500, M=scaled)
            line, (judged, wanted, heavy) = fitted(weights), val or train
            error = float(np.average((line(judged) - wanted) ** 2, weights=heavy))
            rises = 0 if error < least else rises + 1
            if error < least:
                best, least = line, error
            if rises == _ENOUGH:
                break
    return best, least


def _times(weights: np.ndarray, features: Features) -> np.ndarray:
    numbers, codes = features
    slopes, values = np.split(weights, [numbers.shape[1]])
    return numbers @ slopes + (values[codes].sum(axis=1) if len(values) else 0)


def _transposed(residual: np.ndarray, features: Features, entries: int) -> np.ndarray:
    numbers, codes = features
    values = np.zeros(entries)
    for code in codes.T:
        values += np.bincount(code, residual, entries)
    values[:1] = 0  # what is unknown has no column
    return np.append(residual @ numbers, values)
