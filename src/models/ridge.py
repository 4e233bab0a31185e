"""Ridge regression on numbers and on categories of thousands of values, which never become a matrix."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg

from src.adapters.blas import one_thread

_PENALTIES = 10.0 ** np.arange(4.5, -2.1, -0.5)
_ENOUGH = 2  # penalties in a row that are no better end the search
_SQUARE = 1000  # columns up to which their products with each other are worked out once, not at each step

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
        numbers, codes = features
        return numbers @ self.slopes + _spread(codes, len(self.values)) @ self.values + self.intercept


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
    (numbers, codes), target, shares = train
    rows = np.ones(len(target)) if shares is None else shares
    spread, width, size = _spread(codes, entries), numbers.shape[1], numbers.shape[1] + entries
    means = rows @ numbers / len(target)
    numbers = numbers - means  # or products of columns far from zero would lose what tells rows apart

    def times(weights: np.ndarray) -> np.ndarray:
        return numbers @ weights[:width] + spread @ weights[width:]

    def transposed(values: np.ndarray) -> np.ndarray:
        return np.append(values @ numbers, values @ spread)

    def centred(values: np.ndarray) -> np.ndarray:
        return rows * (values - np.average(values, weights=shares))

    diagonal = np.append(rows @ numbers**2, rows @ spread)
    right, products = transposed(centred(target)), None

    def fitted(weights: np.ndarray) -> RidgeLine:
        intercept = np.average(target - times(weights), weights=shares) - means @ weights[:width]
        return RidgeLine(weights[:width], weights[width:], float(intercept))

    best, least, rises, weights = fitted(np.zeros(size)), np.inf, 0, np.zeros(size)
    with one_thread():
        if size <= _SQUARE:
            heavy, mean = spread.T * rows, transposed(rows)
            across = heavy @ numbers
            products = np.block([[(numbers.T * rows) @ numbers, across.T], [across, (heavy @ spread).toarray()]])
            products -= np.outer(mean, mean) / len(target)
        for penalty in _PENALTIES if val else [1.0]:

            def normal(weights: np.ndarray, penalty: float = penalty) -> np.ndarray:
                found = transposed(centred(times(weights))) if products is None else products @ weights
                return found + penalty * weights

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


def _spread(codes: np.ndarray, entries: int) -> csr_array:
    """A column for each code, (rows, entries); that of code 0, which is unknown, is empty."""
    flat = codes.ravel()
    ends = np.arange(0, len(flat) + 1, codes.shape[1]) if codes.size else np.zeros(len(codes) + 1, np.int64)
    return csr_array(((flat > 0).astype(np.float64), flat, ends), shape=(len(codes), entries))
