"""Columns to tensors and back: scaling that is fitted on the training rows and travels with the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_CHUNK = 1 << 16  # rows scaled at a time, so that float64 copies stay small


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
    def fit(
        cls,
        features: np.ndarray,
        target: np.ndarray,
        feature_names: list[str],
        target_name: str,
        standardize: bool,
    ) -> "Encoder":
        """Mean and standard deviation of the training rows, or 0 and 1 where ``standardize`` is off.

        A constant column keeps the scale 1.
        """
        if not standardize:
            width = features.shape[1]
            return cls(feature_names, target_name, np.zeros(width), np.ones(width), 0.0, 1.0)
        scale = _deviation(features)
        target_scale = _deviation(target[:, None])[0]
        return cls(
            feature_names,
            target_name,
            features.mean(axis=0, dtype=np.float64),
            np.where(scale > 0, scale, 1.0),
            float(target.mean(dtype=np.float64)),
            float(target_scale) if target_scale > 0 else 1.0,
        )

    @property
    def is_identity(self) -> bool:
        """Whether encoded values are the raw ones."""
        return not self.feature_shift.any() and bool((self.feature_scale == 1).all()) and self.target_scale == 1

    def encode(self, features: np.ndarray) -> Tensor:
        """Raw features (rows, features) as the tensor that a net sees, same shape and precision."""
        encoded = np.empty(features.shape, features.dtype)
        for start in range(0, len(features), _CHUNK):
            rows = slice(start, start + _CHUNK)
            encoded[rows] = (features[rows] - self.feature_shift) / self.feature_scale
        return torch.from_numpy(encoded)

    def encode_target(self, target: np.ndarray) -> Tensor:
        """Raw target (rows,) as the tensor (rows, 1) that the loss sees."""
        encoded = (target - self.target_shift) / self.target_scale
        return torch.from_numpy(encoded.astype(target.dtype)[:, None])

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
        arrays = {key: value.numpy() if isinstance(value, Tensor) else value for key, value in state.items()}
        return cls(**arrays)


def _deviation(columns: np.ndarray) -> np.ndarray:
    """Standard deviation of each column in float64, chunk by chunk around the mean."""
    mean = columns.mean(axis=0, dtype=np.float64)
    squares = np.zeros(columns.shape[1])
    for start in range(0, len(columns), _CHUNK):
        squares += ((columns[start : start + _CHUNK] - mean) ** 2).sum(axis=0)
    return np.sqrt(squares / len(columns))
