"""A trained net with its encoder: raw features in, predictions in the target's unit out."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from src.data.encoder import Encoder
from src.data.table import Column
from src.models.least_squares import Line
from src.training.task import figures
from src.training.threads import threads

if TYPE_CHECKING:
    from src.data.partition import Partition

_CHUNK = 1 << 11  # rows at a time; the same everywhere, so that a figure repeats to the last bit


class Predictor:
    """Predicts on the CPU in the net's own precision.

    Args:
        net: from (rows, features) to (rows, 1), in encoded units.
        encoder: the one that it was trained with.
    """

    def __init__(self, net: nn.Module, encoder: Encoder) -> None:
        self.net = net.cpu().eval()
        self.encoder = encoder
        precision = next(net.parameters()).dtype
        self.dtype = np.dtype(np.float64 if precision == torch.float64 else np.float32)
        self._precision = precision

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predictions (rows,), float64, for raw features (rows, features), recoded."""
        parts = []
        # One thread: the same bits on a machine with another number of cores.
        with torch.inference_mode(), threads(1):
            for start in range(0, len(features), _CHUNK):
                encoded = self.encoder.encode(features[start : start + _CHUNK], self.dtype)
                parts.append(self.encoder.decode(self.net(encoded.to(self._precision))))
        return np.concatenate(parts)

    def on(self, columns: list[Column]) -> Callable[[np.ndarray], np.ndarray]:
        """The same for raw features as a table with such columns has them, whose categories are its own."""
        recode = self.encoder.recoder(columns)
        return self if recode is None else lambda features: self(recode(features))

    def line(self) -> Line | None:
        """Slopes and intercept in raw units where the net is a straight line, else None."""
        weight, bias = getattr(self.net, "weight", None), getattr(self.net, "bias", None)
        if weight is None or bias is None or not self.encoder.is_affine:
            return None
        slopes = weight.detach().to(torch.float64).flatten().numpy()
        return Line(*self.encoder.decode_line(slopes, bias.item()))


def figures_of(predict: Callable[[np.ndarray], np.ndarray], part: "Partition") -> dict[str, float]:
    """Every metric of each split, SPLIT/METRIC, of what predicts from raw features (rows, features), recoded."""
    found: dict[str, float] = {}
    for name in part.splits():
        pairs = ((predict(features), target) for features, target in part.chunks(name))
        found |= {f"{name}/{metric}": value for metric, value in figures(pairs, part.variance(name)).items()}
    return found
