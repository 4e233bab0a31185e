"""A table's rows in three parts, and the encoder that the training rows fit."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from src.data.encoder import Encoder
from src.data.order import split
from src.data.table import Table, variances
from src.errors import UserError

_ENCODED_ONCE = 1 << 20  # numbers; a table up to here is encoded before training, a larger one an execution at a time
_CHUNK = 1 << 11  # rows looked at together where all rows would be too many: activations stay in cache


class Partition:
    """What one member learns from, and what it is judged by.

    Args:
        table: the rows, in their own units.
        val_fraction, test_fraction: shares of the rows kept from training.
        scaling: of the features, as ``Numbers`` has it.
        target_scaling: of the target, as ``Target`` has it.
        seed: decides the split.
        fold: (place, number) of a fold, whose validation rows are its own part.

    Raises:
        UserError: the fractions leave fewer than two training rows, the rows do not fit a scaling, or all rows of
            a part weigh 0.
    """

    def __init__(
        self,
        table: Table,
        val_fraction: float,
        test_fraction: float,
        scaling: str,
        target_scaling: str,
        seed: int,
        fold: tuple[int, int] | None = None,
    ) -> None:
        parts = split(table, val_fraction, test_fraction, seed, fold)
        self.table = table
        self.rows = dict(zip(("train", "val", "test"), parts, strict=True))
        self._weights = self._weighed()
        self.use(Encoder.fit(table, parts[0], scaling, target_scaling))

    def use(self, encoder: Encoder) -> None:
        """Takes an encoder; of a checkpoint, so that a resumed run sees the same numbers."""
        self.encoder = encoder
        self._recode = encoder.recoder(self.table.columns)
        self.__dict__.pop("scale", None)
        self._encoded: dict[str, tuple[Tensor, Tensor]] = {}
        self._variances: dict[str, np.ndarray] = {}

    def splits(self) -> list[str]:
        """The names of the parts that have rows: train, val, test."""
        return [name for name, rows in self.rows.items() if len(rows)]

    def thinned(self, name: str, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At most so many rows of a part, evenly taken: which, and features and target as ``chunks`` has them."""
        rows = self.rows[name]
        chosen = rows[:: -(-len(rows) // most)]
        features = self.table.features[chosen]
        return chosen, features if self._recode is None else self._recode(features), self.table.target[chosen]

    def chunks(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Raw features (rows, features), recoded, and target (rows, targets) of a part, a few thousand at a time."""
        for features, target in self.table.chunks(self.rows[name]):
            yield features if self._recode is None else self._recode(features), target

    def design(self, name: str, place: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same for a straight line to a target (rows,): raw where an encoder keeps lines straight, else encoded."""
        for features, target in self.chunks(name):
            yield features if self.encoder.is_affine else self.encoder.design(features), target[:, place]

    def extent(self) -> list[tuple[float, float]]:
        """The least and the greatest value of each target of the training rows, as the net sees them."""
        pairs = zip(self.encoder.targets, self.table.target[self.rows["train"]].T, strict=True)
        found = [target.encode(np.array([own.min(), own.max()])) for target, own in pairs]
        return [(float(low), float(high)) for low, high in found]

    def variance(self, name: str) -> np.ndarray:
        """The variance (targets,) of each of a part's targets, in its unit squared."""
        if name not in self._variances:
            self._variances[name] = variances(self.table.target[self.rows[name]], self.weights(name))
        return self._variances[name]

    def weights(self, name: str) -> np.ndarray | None:
        """How much each row of a part counts, (rows,), 1 in the mean; None where all count alike."""
        return self._weights.get(name)

    def encoded(self, name: str) -> tuple[Tensor, Tensor]:
        """Features (rows, features) and target (rows, targets) of a part, as the net sees them."""
        if name not in self._encoded:
            self._encoded[name] = self._rows(self.rows[name])
        return self._encoded[name]

    def sample(self, rows: int) -> tuple[Tensor, Tensor]:
        """The first training rows, as the net sees them."""
        return self._rows(self.rows["train"][:rows])

    def some(self, name: str, most: int) -> tuple[Tensor, Tensor]:
        """The same of at most so many rows, evenly taken."""
        rows = self.rows[name]
        return self.encoded(name) if len(rows) <= most else self._rows(rows[:: -(-len(rows) // most)])

    def some_weights(self, name: str, most: int) -> np.ndarray | None:
        """How much each of the rows of ``some`` counts."""
        found = self.weights(name)
        return None if found is None else found[:: -(-len(found) // most)]

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Up to a few thousand encoded training rows, evenly taken, to measure a loss by."""
        rows = self.rows["train"]
        return self._rows(rows[:: -(-len(rows) // _CHUNK)])

    def gather(self, name: str, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Features (…, features) and target (…, targets) of a part's ``chosen`` rows, from 0, as the net sees them."""
        rows = self.rows[name]
        if len(rows) * self.encoder.shape.width <= _ENCODED_ONCE:
            features, target = self.encoded(name)
            return features[chosen], target[chosen]
        # A second copy of a large table costs more than encoding it again.
        if isinstance(chosen, slice):
            return self._rows(rows[chosen])
        features, target = self._rows(rows[chosen.flatten().numpy()])
        return features.unflatten(0, chosen.shape), target.unflatten(0, chosen.shape)

    def validation(self, device: torch.device) -> list[tuple[Tensor, Tensor, Tensor | None]]:
        """The encoded validation rows, a few thousand at a time, on a device, and how much each counts, (rows,)."""
        places = [slice(start, start + _CHUNK) for start in range(0, len(self.rows["val"]), _CHUNK)]
        found = [(*self.gather("val", place), place) for place in places]
        weights = self.weights("val")
        return [
            (
                features.to(device),
                target.to(device),
                None if weights is None else torch.from_numpy(weights[place]).to(device),
            )
            for features, target, place in found
        ]

    def _weighed(self) -> dict[str, np.ndarray]:
        if self.table.weight is None:
            return {}
        found = {name: self.table.weight[self.rows[name]].astype(np.float64) for name in self.splits()}
        for name, weights in found.items():
            if not weights.sum() > 0:
                raise UserError(
                    f"data.weight={self.table.weight_name}: all {len(weights)} {name} rows weigh 0, "
                    "expected one that does not"
                )
        return {name: weights / weights.mean() for name, weights in found.items()}

    def _rows(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        return self.encoder.encode_rows(self.table, rows, self._recode)
