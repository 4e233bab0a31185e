"""Columns to tensors and back: scaling that is fitted on the training rows and travels with the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from src.adapters.blas import one_thread
from src.data.table import Table


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
        columns = table.features.shape[1] + 1
        shift, scale = np.zeros(columns), np.ones(columns)
        if standardize:
            # One pass around a pivot near the mean, so that nothing cancels (Chan, Golub and LeVeque, 1983).
            pivot = np.column_stack(next(table.chunks(rows))).mean(axis=0)
            total, squares = np.zeros(columns), np.zeros(columns)
            with one_thread():
                for pair in table.chunks(rows):
                    chunk = np.column_stack(pair) - pivot
                    ones = np.ones(len(chunk))
                    total += ones @ chunk
                    squares += ones @ np.square(chunk)
            mean = total / len(rows)
            shift = pivot + mean
            deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0))
            # What rounding leaves of a constant column is no deviation.
            scale = np.where(deviation > 1e-12 * np.maximum(np.abs(shift), 1e-300), deviation, 1.0)
        names = table.feature_names, table.target_name
        return cls(*names, shift[:-1], scale[:-1], float(shift[-1]), float(scale[-1]))

    @property
    def is_identity(self) -> bool:
        """Whether encoded values are the raw ones."""
        return not self.feature_shift.any() and bool((self.feature_scale == 1).all()) and self.target_scale == 1

    def encode(self, features: np.ndarray, precision: DTypeLike) -> Tensor:
        """Raw features (rows, features) as the tensor that a net sees: same shape, scaled, then rounded."""
        return torch.from_numpy(np.ascontiguousarray(self._scaled(features), precision))

    def encode_rows(self, table: Table, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """These rows of a table as features (rows, features) and target (rows, 1)."""
        features = np.empty((len(rows), table.features.shape[1]), table.precision)
        target = np.empty((len(rows), 1), table.precision)
        done = 0
        for raw, wanted in table.chunks(rows):
            place = slice(done, done + len(raw))
            features[place] = self._scaled(raw)
            target[place, 0] = (wanted - self.target_shift) / self.target_scale
            done += len(raw)
        return torch.from_numpy(features), torch.from_numpy(target)

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        # In float64: a column far from zero would lose digits when its mean is taken off. In NumPy: torch's threads
        # wait for each other where another thread is at work.
        return features if self.is_identity else (features - self.feature_shift) / self.feature_scale

    def decode(self, output: Tensor) -> np.ndarray:
        """A net's output (rows, 1) as predictions (rows,) in the target's unit, float64."""
        return output[:, 0].to(torch.float64).numpy() * self.target_scale + self.target_shift

    def decode_line(self, weight: np.ndarray, bias: float) -> tuple[np.ndarray, float]:
        """Slopes (features,) and intercept in raw units of the line that was learned on encoded columns."""
        slopes = weight * self.target_scale / self.feature_scale
        return slopes, float(bias * self.target_scale + self.target_shift - (slopes * self.feature_shift).sum())

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only, so that a checkpoint loads with ``weights_only=True``."""
        fields = vars(self).items()
        return {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in fields}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Encoder":
        """The encoder that ``state_dict`` described."""
        arrays: dict[str, Any] = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in state.items()}
        return cls(**arrays)
