"""Columns to tensors and back: scaling that is fitted on the training rows and travels with the model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from src.blas import one_thread
from src.data.table import Table

_CHUNK = 1 << 11  # rows scaled at a time, so that float64 copies stay in cache and out of the peak


@dataclass(frozen=True)
class Encoder:
    """A shift and a scale per column, float64: encoded = (raw - shift) / scale.

    ``feature_shift`` and ``feature_scale`` are (features,); the target's are numbers.
    """

    feature_names: list[str]
    target_name: str
    feature_shift: np.ndarray
    feature_scale: np.ndarray
    target_shift: float
    target_scale: float

    @classmethod
    def fit(cls, table: Table, rows: np.ndarray, standardize: bool) -> "Encoder":
        """Mean and standard deviation of these rows, or 0 and 1 where ``standardize`` is off.

        A constant column keeps the scale 1.
        """
        width = table.features.shape[1]
        shift, scale = np.zeros(width + 1), np.ones(width + 1)
        if standardize:
            # One pass around a pivot near the mean, so that nothing cancels (Chan, Golub and LeVeque, 1983).
            pivot = next(_chunks(table, rows)).mean(axis=0)
            pivots = np.tile(pivot, (_CHUNK, 1))  # contiguous operations, three times as fast as broadcast ones
            total, squares = np.zeros(width + 1), np.zeros(width + 1)
            with one_thread():
                for columns in _chunks(table, rows):
                    columns -= pivots[: len(columns)]
                    ones = np.ones(len(columns))
                    total += ones @ columns
                    squares += ones @ np.square(columns, out=columns)
            mean = total / len(rows)
            shift = pivot + mean
            deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0))
            # What rounding leaves of a constant column is no deviation.
            scale = np.where(deviation > 1e-12 * np.maximum(np.abs(shift), 1e-300), deviation, 1.0)
        return cls(
            table.feature_names,
            table.target_name,
            shift[:-1],
            scale[:-1],
            float(shift[-1]),
            float(scale[-1]),
        )

    @property
    def is_identity(self) -> bool:
        """Whether encoded values are the raw ones."""
        return not self.feature_shift.any() and bool((self.feature_scale == 1).all()) and self.target_scale == 1

    def encode(self, features: np.ndarray, precision: DTypeLike) -> Tensor:
        """Raw features (rows, features) as the tensor that a net sees: same shape, scaled, then rounded."""
        return torch.from_numpy(np.ascontiguousarray(self._scaler(len(features), precision)(features)))

    def encode_rows(self, table: Table, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """These rows of a table as features (rows, features) and target (rows, 1)."""
        precision = table.precision
        target = (table.target[rows] - self.target_shift) / self.target_scale
        features = np.empty((len(rows), table.features.shape[1]), precision)
        scaled = self._scaler(min(len(rows), _CHUNK), precision)
        for start in range(0, len(rows), _CHUNK):
            features[start : start + _CHUNK] = scaled(table.features[rows[start : start + _CHUNK]])
        return torch.from_numpy(features), torch.from_numpy(target[:, None].astype(precision, copy=False))

    def _scaler(self, rows: int, precision: DTypeLike) -> Callable[[np.ndarray], np.ndarray]:
        """What scales (n, features), n up to ``rows``, and rounds the outcome to ``precision``.

        In float64: a column far from zero would lose digits when its mean is taken off. In NumPy: torch's
        threads wait for each other where another thread is at work.
        """
        if self.is_identity:
            return lambda features: features.astype(precision, copy=False)
        shift, scale = np.tile(self.feature_shift, (rows, 1)), np.tile(self.feature_scale, (rows, 1))

        def scaled(features: np.ndarray) -> np.ndarray:
            columns = features.astype(np.float64)
            columns -= shift[: len(columns)]
            columns /= scale[: len(columns)]
            return columns.astype(precision, copy=False)

        return scaled

    def decode(self, output: Tensor) -> np.ndarray:
        """A net's output (rows, 1) as predictions (rows,) in the target's unit, float64."""
        return output[:, 0].to(torch.float64).numpy() * self.target_scale + self.target_shift

    def decode_line(self, weight: np.ndarray, bias: float) -> tuple[np.ndarray, float]:
        """Slopes (features,) and intercept in raw units of the line that was learned on encoded columns."""
        slopes = weight * self.target_scale / self.feature_scale
        return slopes, float(bias * self.target_scale + self.target_shift - (slopes * self.feature_shift).sum())

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only, so that a checkpoint loads with ``weights_only=True``."""
        return {
            "feature_names": self.feature_names,
            "target_name": self.target_name,
            "feature_shift": torch.from_numpy(self.feature_shift),
            "feature_scale": torch.from_numpy(self.feature_scale),
            "target_shift": self.target_shift,
            "target_scale": self.target_scale,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Encoder":
        """The encoder that ``state_dict`` described."""
        arrays: dict[str, Any] = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in state.items()}
        return cls(**arrays)


def _chunks(table: Table, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Features and target of these rows in float64, (chunk, features + 1), a chunk at a time."""
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        features, target = table.features[chosen], table.target[chosen]
        chunk = np.empty((len(target), features.shape[1] + 1))
        chunk[:, :-1] = features
        chunk[:, -1] = target
        yield chunk
