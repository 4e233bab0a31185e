"""A trained net with its encoder: raw features in, predictions in the target's unit out."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from src.data.encoder import Encoder
from src.data.table import Column
from src.data.target import decode
from src.models.least_squares import Line
from src.training.task import figures
from src.training.threads import threads

if TYPE_CHECKING:
    from src.data.partition import Partition

_CHUNK = 1 << 11  # rows at a time; the same everywhere, so that a figure repeats to the last bit


class Predictor:
    """Predicts on the CPU in the net's own precision.

    Args:
        net: from (rows, features) to (rows, outputs), in encoded units: one for each level, or for each target.
        encoder: the one that it was trained with.
        levels: which quantile of the target each output is, the first the prediction; one where targets are several.
    """

    def __init__(self, net: nn.Module, encoder: Encoder, levels: Sequence[float] = (0.5,)) -> None:
        self.net = net.cpu().eval()
        self.encoder, self.levels = encoder, list(levels)
        precision = next(net.parameters()).dtype
        self.dtype = np.dtype(np.float64 if precision == torch.float64 else np.float32)
        self._precision = precision

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predictions (rows, targets), float64, for raw features (rows, features), recoded."""
        return self.outputs(features)[:, : len(self.encoder.targets)]

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """The same for each level, (rows, levels): no level above the prediction's is below it, nor the reverse."""
        parts = [np.empty((0, max(len(self.levels), len(self.encoder.targets))))]
        # One thread: the same bits on a machine with another number of cores.
        with torch.inference_mode(), threads(1):
            for start in range(0, len(features), _CHUNK):
                encoded = self.encoder.encode(features[start : start + _CHUNK], self.dtype)
                found = decode(self.encoder.targets, self.net(encoded.to(self._precision)))
                parts.append(uncrossed(found, self.levels).numpy())
        return np.concatenate(parts)

    def on(self, columns: list[Column], every: bool = False) -> Callable[[np.ndarray], np.ndarray]:
        """Predictions, or ``every`` output, of raw features as a table with such columns has them."""
        predict = self.outputs if every else self.__call__
        recode = self.encoder.recoder(columns)
        return predict if recode is None else lambda features: predict(recode(features))

    def flat(self) -> "list[tuple[Predictor, float]]":
        """Itself, with the whole of the prediction, as an ensemble has it of its members."""
        return [(self, 1.0)]

    def lines(self) -> list[Line]:
        """Slopes and intercept to each target, in raw units, where the net is straight lines, else none."""
        weight, bias = getattr(self.net, "weight", None), getattr(self.net, "bias", None)
        if weight is None or bias is None or len(self.levels) > 1 or not self.encoder.is_affine:
            return []
        targets = self.encoder.targets
        slopes = weight.detach().to(torch.float64).reshape(len(targets), -1).numpy()
        each = zip(slopes, bias.tolist(), targets, strict=True)
        return [Line(*self.encoder.decode_line(*own)) for own in each]


def figures_of(predict: Callable[[np.ndarray], np.ndarray], part: "Partition") -> dict[str, float]:
    """Every figure of each split, SPLIT/METRIC, of what predicts (rows, targets) from raw features, recoded."""
    found: dict[str, float] = {}
    for name in part.splits():
        pairs = ((predict(features), target) for features, target in part.chunks(name))
        own = figures(pairs, part.table.target_names, part.variance(name), part.weights(name))
        found |= {f"{name}/{metric}": value for metric, value in own.items()}
    return found


def uncrossed(values: Tensor, levels: Sequence[float]) -> Tensor:
    """Quantiles (rows, levels) in the order of their levels, seen from the first, which stays as it is."""
    columns = list(values.unbind(1))
    for side, bound in ((1, torch.maximum), (-1, torch.minimum)):
        outwards = sorted((level for level in levels if (level - levels[0]) * side > 0), key=lambda v: v * side)
        for nearer, level in pairwise([levels[0], *outwards]):
            place = levels.index(level)
            columns[place] = bound(columns[place], columns[levels.index(nearer)])
    return torch.stack(columns, 1)
