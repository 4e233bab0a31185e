"""Numbers to what a net sees: scaled by what the training rows say, gaps filled with the median.

An infinite number never comes here, and a constant column becomes 0. A gap is also told in a column of its own, which
stays 0 where the training rows had none: a net has not learned what to do with it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from src.adapters.blas import one_thread

_SAMPLE = 1 << 17  # rows from which quantiles are taken, evenly chosen
_KNOTS = np.linspace(0, 1, 129)
_QUARTILES = np.linspace(0, 1, 5)
_NONE = np.empty(0, np.int64)
CLIP = 3.0  # RealMLP's smooth clip: encoded values stay within ± 3 (Holzmüller et al. 2024)

Chunks = Callable[[], Iterable[np.ndarray]]  # the rows anew at each call, as (rows, columns)


@dataclass(frozen=True)
class Numbers:
    """A shift and a scale per column, float64: encoded = (raw - shift) / scale, and then bent where ``scaling`` asks.

    Args:
        scaling: robust clips smoothly, quartile does not; quantile goes by ``knots`` instead.
        shift, scale: (columns,).
        fill: what a gap is filled with, (columns,).
        gaps: places of the columns whose gaps are flagged, (flags,).
        flagged: which of them had some in training, (flags,).
        knots: quantiles (columns, 129) of the training rows; no columns elsewhere.
    """

    scaling: str
    shift: np.ndarray
    scale: np.ndarray
    fill: np.ndarray
    gaps: np.ndarray
    flagged: np.ndarray
    knots: np.ndarray

    @classmethod
    def fit(cls, chunks: Chunks, rows: int, gaps: np.ndarray, holes: np.ndarray, scaling: str) -> "Numbers":
        """What the training rows say.

        Args:
            chunks: their columns.
            rows: how many they are.
            gaps: places of the columns whose gaps are flagged.
            holes: places of all columns that may have gaps.
            scaling: robust, quartile, standard, quantile or none.
        """
        columns = next(iter(chunks())).shape[1]
        shift, scale, fill = np.zeros(columns), np.ones(columns), np.zeros(columns)
        knots, flagged = np.empty((0, len(_KNOTS))), np.zeros(len(gaps), bool)
        if scaling == "standard":
            shift, scale = moments(chunks, rows, holes)
        by_rank = scaling in ("robust", "quartile", "quantile")
        if by_rank or len(holes):
            every = -(-rows // _SAMPLE)
            asked = _KNOTS if scaling == "quantile" else _QUARTILES if by_rank else _QUARTILES[2:3]
            wanted = list(range(columns)) if by_rank else holes
            some = np.concatenate([chunk[::every, wanted] for chunk in chunks()])
            found = np.zeros((columns, len(asked)))
            for column, values in zip(wanted, some.T, strict=True):
                values = np.sort(values)  # gaps last; of sorted values several quantiles are found sooner
                if there := len(values) - np.isnan(values).sum():
                    found[column] = np.quantile(values[:there], asked)
            fill = found[:, len(asked) // 2].copy()
            if scaling in ("robust", "quartile"):
                shift, scale = fill, _distance(found)
            elif scaling == "quantile":
                knots = found
            for chunk in chunks():
                flagged |= np.isnan(chunk[:, gaps]).any(axis=0)
        return cls(scaling, shift, scale, fill, gaps, flagged, knots)

    @property
    def width(self) -> int:
        """How many numbers a row becomes."""
        return len(self.shift) + len(self.gaps)

    @property
    def is_identity(self) -> bool:
        """Whether encoded values are the raw ones."""
        return self.is_affine and not self.shift.any() and bool((self.scale == 1).all())

    @property
    def is_affine(self) -> bool:
        """Whether a straight line on encoded values is one on raw values."""
        return self.scaling in ("standard", "quartile", "none") and not len(self.gaps)

    def encode(self, raw: np.ndarray, into: np.ndarray) -> None:
        """Writes raw columns (rows, columns) into ``into`` (rows, width)."""
        # In float64: a column far from zero would lose digits when its mean is taken off. In NumPy: torch's threads
        # wait for each other where another thread is at work.
        if self.is_identity:
            into[...] = raw
        elif not len(self.gaps):
            into[...] = self._bent(raw)
        else:
            gap = np.isnan(raw)
            into[:, : raw.shape[1]] = self._bent(np.where(gap, self.fill, raw))
            into[:, raw.shape[1] :] = gap[:, self.gaps] & self.flagged

    def _bent(self, raw: np.ndarray) -> np.ndarray:
        if self.scaling == "quantile":
            columns = [np.interp(raw[:, place], knots, normal()) for place, knots in enumerate(self.knots)]
            return np.column_stack(columns) if columns else raw
        scaled = raw - self.shift
        scaled /= self.scale
        return scaled / np.sqrt(1 + np.square(scaled / CLIP)) if self.scaling == "robust" else scaled


def normal() -> np.ndarray:
    """What a column's ``knots`` become: the same quantiles (129,) of a normal distribution, the outermost drawn in."""
    from scipy.special import ndtri

    return ndtri(np.clip(_KNOTS, 1e-3, 1 - 1e-3))


def moments(chunks: Chunks, rows: int, holes: np.ndarray = _NONE) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column, without gaps, which some may have; the deviation of a constant column is 1."""
    # One pass around a pivot near the mean, so that nothing cancels (Chan, Golub and LeVeque, 1983).
    first = next(iter(chunks()))
    pivot = first.mean(axis=0)
    there = ~np.isnan(first[:, holes])
    pivot[holes] = np.where(there, first[:, holes], 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    total, squares, count = np.zeros(len(pivot)), np.zeros(len(pivot)), np.full(len(pivot), rows)
    with one_thread():
        for raw in chunks():
            chunk = raw - pivot
            if len(holes):
                some = chunk[:, holes]
                gap = np.isnan(some)
                some[gap] = 0
                chunk[:, holes] = some
                count[holes] -= gap.sum(axis=0)
            ones = np.ones(len(chunk))
            total += ones @ chunk
            squares += ones @ np.square(chunk)
    count = np.maximum(count, 1)
    mean = total / count
    shift = pivot + mean
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    # What rounding leaves of a constant column is no deviation.
    return shift, np.where(deviation > 1e-12 * np.maximum(np.abs(shift), 1e-300), deviation, 1.0)


def _distance(quartiles: np.ndarray) -> np.ndarray:
    """Between the quartiles; half the range where that is 0. Of (columns, 5), the ends and the median among them."""
    between, half = quartiles[:, 3] - quartiles[:, 1], (quartiles[:, 4] - quartiles[:, 0]) / 2
    found = np.where(between > 0, between, half)
    return np.where(found > 0, found, 1.0)
