"""A run's models in torch, from raw columns to predictions in the targets' units: what is exported, whatever the form.

Raw columns are one float64 matrix: numbers as they are, booleans as 0 and 1, dates as days since 1970, categories as
places in a column's ``values``, -1 where unknown; a gap is NaN. What ``predict`` would refuse becomes NaN.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from src.data.encoder import Encoder
from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column
from src.data.target import decode
from src.exporting.encoding import Encoding
from src.training.predictor import Predictor, uncrossed


class Whole(nn.Module):
    """The mean prediction of models, each behind its own encoder.

    Args:
        members: of one table's columns, each with its share of the prediction.
        levels: that all of them predict; one where targets are several.

    Shape:
        (rows, features), float64, to (rows, levels) or (rows, targets), float64.
    """

    def __init__(self, members: Sequence[tuple[Predictor, float]], levels: Sequence[float]) -> None:
        super().__init__()
        predictors, self.shares = [member for member, _ in members], [share for _, share in members]
        self.outputs = max(len(levels), len(predictors[0].encoder.targets))
        self.columns = shared([each.encoder for each in predictors])
        self.members = nn.ModuleList(_Member(each, self.columns, self.outputs) for each in predictors)
        gaps = [column.gaps or column.kind == CATEGORY for column in self.columns]
        largest = [_largest(column, predictors[0].dtype) for column in self.columns]
        self.may_gap = nn.Buffer(torch.tensor(gaps))
        self.largest = nn.Buffer(torch.tensor(largest, dtype=torch.float64))
        self.eval().requires_grad_(False)

    def forward(self, raw: Tensor) -> Tensor:
        """Predictions; NaN where a row has a gap that training had none of, or a number that is not finite."""
        gap = raw.isnan()
        refused = ~((raw.abs() <= self.largest) | (gap & self.may_gap))
        raw = torch.where(refused, torch.zeros_like(raw), raw)
        parts = [member(raw) * share for member, share in zip(self.members, self.shares, strict=True)]
        found = torch.stack(parts).sum(0)
        return torch.where(refused.to(raw.dtype).sum(1, keepdim=True) > 0, torch.full_like(found, torch.nan), found)


class _Member(nn.Module):
    def __init__(self, predictor: Predictor, columns: Sequence[Column], outputs: int) -> None:
        super().__init__()
        self.levels, self.outputs = predictor.levels, outputs
        self.encoding = Encoding(predictor.encoder, columns)
        self.net, self.targets = predictor.net, predictor.encoder.targets
        self.precision = torch.float64 if predictor.dtype == np.float64 else torch.float32

    def forward(self, raw: Tensor) -> Tensor:
        found = decode(self.targets, self.net(self.encoding(raw).to(self.precision)))
        return uncrossed(found, self.levels)[:, : self.outputs]


def shared(encoders: Sequence[Encoder]) -> list[Column]:
    """The columns that encoders of one table have in common, each category with the values that any of them knows."""
    places = [place for place, column in enumerate(encoders[0].columns) if column.kind == CATEGORY]
    found = list(encoders[0].columns)
    for number, place in enumerate(places):
        values = {value for encoder in encoders for value in encoder.categories[number].values}
        found[place] = replace(found[place], values=tuple(sorted(values)))
    return found


def recoded(features: np.ndarray, columns: Sequence[Column], wanted: Sequence[Column]) -> np.ndarray:
    """Raw features (rows, features) of a table with such columns, float64, their categories as ``wanted`` has them."""
    raw = features.astype(np.float64)
    for place, (own, other) in enumerate(zip(columns, wanted, strict=True)):
        if own.kind == CATEGORY:
            known = {value: position for position, value in enumerate(other.values)}
            lookup = np.array([*(known.get(value, -1) for value in own.values), np.nan], np.float64)
            code = raw[:, place]
            raw[:, place] = lookup[np.where(np.isnan(code), len(own.values), code).astype(np.int64)]
    return raw


def _largest(column: Column, dtype: np.dtype) -> float:
    """What a raw value may come to; a date or a category never comes near it, unless it could not be read."""
    return float(np.finfo(dtype).max) if column.kind in (NUMBER, BOOLEAN) else float(np.finfo(np.float64).max)
