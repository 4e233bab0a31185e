"""Columns to tensors and back: fitted on the training rows, and travelling with the model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from src.data import dates
from src.data.categories import Category, columns_of, entries_of
from src.data.encoder_state import check_state
from src.data.numbers import Numbers, moments
from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column, Table, one_or_all
from src.data.target import Target, decode
from src.errors import UserError

_KEPT = 1 << 23  # numbers; of a table up to here dates are taken apart once, of a larger one at each look
Recode = Callable[[np.ndarray], np.ndarray]


class Shape(NamedTuple):
    """What a net is given: so many numbers a row, of which the last are codes, and how many codes there are.

    ``numbers`` of them, the first, are of scaled columns, neither flags nor of words.
    """

    width: int
    codes: int = 0
    entries: int = 1
    numbers: int = 0

    @classmethod
    def of(cls, columns: list[Column]) -> "Shape":
        """That of a table's columns, whichever rows are trained on."""
        numbers = sum(dates.width(column) for column in columns if column.kind != CATEGORY)
        flags = sum(column.gaps for column in columns if column.kind != CATEGORY)
        categories = [column for column in columns if column.kind == CATEGORY]
        entries = [entries for column in categories if (entries := entries_of(column))]
        width = numbers + flags + sum(map(columns_of, categories)) + len(entries)
        return cls(width, len(entries), 1 + sum(entries), numbers)


@dataclass(frozen=True)
class Encoder:
    """Features in this order: numbers, booleans and dates scaled; flags of gaps; one-hot columns; codes.

    Args:
        columns: as trained on; their values are those of ``categories``.
        target_names: of the columns that are predicted.
        numbers: of numbers and booleans as they are, and of dates in parts.
        categories: of each category.
        targets: of each target.
    """

    columns: list[Column]
    target_names: Sequence[str]
    numbers: Numbers
    categories: list[Category]
    targets: list[Target]

    @classmethod
    def fit(cls, table: Table, rows: np.ndarray, scaling: str, target_scaling: str) -> "Encoder":
        """What these rows of a table say; for the two scalings see ``Numbers`` and ``Target``."""
        columns, plain = table.columns, table.is_numeric

        def numbers(raw: np.ndarray) -> np.ndarray:
            return raw if plain else dates.numbers(raw, columns)

        if plain and scaling == target_scaling == "standard":
            # Both in one pass.
            shift, scale = moments(lambda: map(np.column_stack, table.chunks(rows)), len(rows))
            none = np.empty(0, np.int64)
            (shift, own), (scale, spread) = (np.split(each, [len(columns)]) for each in (shift, scale))
            fitted = Numbers(scaling, shift, scale, shift, none, none.astype(bool), np.empty((0, 129)))
            targets = [Target(scaling, *each) for each in zip(own.tolist(), spread.tolist(), strict=True)]
            return cls(columns, table.target_names, fitted, [], targets)

        def chunks() -> Iterable[np.ndarray]:
            return (numbers(raw) for raw, _ in table.chunks(rows))

        few = not plain and len(rows) * sum(dates.width(column) for column in columns) <= _KEPT
        kept = list(chunks()) if few else None  # asked for several times
        fitted = Numbers.fit(chunks if kept is None else lambda: kept, len(rows), *_gaps(columns), scaling)
        categories: list[Category] = []
        for place, column in enumerate(columns):
            if column.kind == CATEGORY:
                first = categories[-1].first + categories[-1].entries if categories else 1
                categories.append(Category.fit(column, table.features[rows, place], first))
        pairs = zip(table.target_names, table.target[rows].T, strict=True)
        targets = [Target.fit(own, target_scaling, _moments, name) for name, own in pairs]
        return cls([replace(column, values=()) for column in columns], table.target_names, fitted, categories, targets)

    @property
    def feature_names(self) -> list[str]:
        """The columns that a row has to have."""
        return [column.name for column in self.columns]

    @property
    def shape(self) -> Shape:
        """What a net is given."""
        entries = [category.entries for category in self.categories if category.entries]
        width = self.numbers.width + sum(each.columns for each in self.categories) + len(entries)
        return Shape(width, len(entries), 1 + sum(entries), len(self.numbers.shift))

    @property
    def is_affine(self) -> bool:
        """Whether a straight line on encoded values is one on raw values, in the target's unit."""
        affine = self.numbers.is_affine and all(target.is_affine for target in self.targets)
        return affine and all(column.kind == NUMBER for column in self.columns)

    def recoder(self, columns: list[Column]) -> Recode | None:
        """What brings raw rows of a table with such columns to this encoder's places of categories; None without any.

        A value that it does not know becomes -1.

        Raises:
            UserError: there are other columns, or one is of another kind than what was learned, or has gaps where there
                were none.
        """
        if self.feature_names != (names := [column.name for column in columns]):
            raise UserError(f"was trained on {self.feature_names}, this run reads {names}")
        for learned, found in zip(self.columns, columns, strict=True):
            if learned.kind != found.kind and not {learned.kind, found.kind} <= {NUMBER, BOOLEAN}:
                raise UserError(f"column {learned.name!r} was {learned.kind} in training, found {found.kind}")
            if found.gaps and not learned.gaps and found.kind != CATEGORY:
                raise UserError(f"column {learned.name!r} had no gaps in training, and has some now")
        lookups = {place: each.lookup(columns[place]) for place, each in self._categories()}
        lookups = {place: own for place, own in lookups.items() if not np.array_equal(own, np.arange(len(own)))}
        if not lookups:
            return None

        def recode(raw: np.ndarray) -> np.ndarray:
            raw = raw.copy()
            for place, lookup in lookups.items():
                code = raw[:, place]
                raw[:, place] = np.append(lookup, np.nan)[np.where(np.isnan(code), -1, code).astype(np.int64)]
            return raw

        return recode

    def encode(self, features: np.ndarray, precision: DTypeLike) -> Tensor:
        """Raw features (rows, features), recoded, as the tensor that a net sees: scaled, then rounded."""
        return torch.from_numpy(self._encoded(features, precision))

    def encode_rows(self, table: Table, rows: np.ndarray, recode: Recode | None = None) -> tuple[Tensor, Tensor]:
        """These rows of a table as features (rows, width) and target (rows, targets)."""
        features = np.empty((len(rows), self.shape.width), table.precision)
        target = np.empty((len(rows), len(self.targets)), table.precision)
        done = 0
        for raw, wanted in table.chunks(rows):
            place = slice(done, done + len(raw))
            self._encode(raw if recode is None else recode(raw), features[place])
            for column, own in enumerate(self.targets):
                target[place, column] = own.encode(wanted[:, column])
            done += len(raw)
        return torch.from_numpy(features), torch.from_numpy(target)

    def design(self, features: np.ndarray) -> np.ndarray:
        """Recoded features (rows, features) for a straight line: encoded, with a column for each value of a code.

        Float64, (rows, columns).
        """
        found = self._encoded(features, np.float64)
        embedded = [category for category in self.categories if category.entries]
        numbers, codes = np.split(found, [found.shape[1] - len(embedded)], axis=1)
        spread = [
            code[:, None] == np.arange(category.first, category.first + category.entries)
            for code, category in zip(codes.T, embedded, strict=True)
        ]
        return np.concatenate([numbers, *spread], axis=1) if spread else numbers

    def _encoded(self, raw: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        found = np.empty((len(raw), self.shape.width), dtype)
        self._encode(raw, found)
        return found

    def _encode(self, raw: np.ndarray, into: np.ndarray) -> None:
        """Writes recoded features into ``into`` (rows, width)."""
        plain = not self.categories and all(column.kind in (NUMBER, BOOLEAN) for column in self.columns)
        done = self.numbers.width
        self.numbers.encode(raw if plain else dates.numbers(raw, self.columns), into[:, :done])
        for place, category in sorted(self._categories(), key=lambda pair: pair[1].entries > 0):  # codes are last
            found = category.one_hot(raw[:, place]) if category.columns else category.codes(raw[:, place])[:, None]
            into[:, done : done + found.shape[1]] = found
            done += found.shape[1]

    def _categories(self) -> Iterator[tuple[int, Category]]:
        """Each with the place of its column."""
        places = (place for place, column in enumerate(self.columns) if column.kind == CATEGORY)
        return zip(places, self.categories, strict=True)

    def decode(self, output: Tensor) -> np.ndarray:
        """A net's output, whatever its shape, in the targets' units, float64."""
        return decode(self.targets, output).numpy()

    def decode_line(self, weight: np.ndarray, bias: float, target: Target) -> tuple[np.ndarray, float]:
        """Slopes (features,) and intercept in raw units of the line that was learned on encoded columns."""
        slopes = weight * target.scale / self.numbers.scale
        return slopes, float(bias * target.scale + target.shift - (slopes * self.numbers.shift).sum())

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors only, so that a checkpoint loads with ``weights_only=True``; see ``one_or_all``."""
        columns = [{"name": column.name, "kind": column.kind, "gaps": column.gaps} for column in self.columns]
        return {
            "columns": columns,
            "target_name": one_or_all(self.target_names),
            "numbers": {
                name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in vars(self.numbers).items()
            },
            "categories": [asdict(category) for category in self.categories],
            "target": one_or_all([asdict(target) for target in self.targets]),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Encoder":
        """The encoder that ``state_dict`` described.

        Raises:
            UserError: nothing that it gives is like that; the message names the part.
        """
        check_state(state)
        numbers: dict[str, Any] = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in state["numbers"].items()}
        categories = [Category(**each) for each in state["categories"]]
        columns = [Column(**each) for each in state["columns"]]
        names, targets = (v if isinstance(v, list) else [v] for v in (state["target_name"], state["target"]))
        return cls(columns, names, Numbers(**numbers), categories, [Target(**each) for each in targets])


def _gaps(columns: list[Column]) -> tuple[np.ndarray, np.ndarray]:
    """Of columns that may have gaps the first of their numbers, which is flagged, and all of them."""
    first: list[int] = []
    every: list[int] = []
    place = 0
    for column in columns:
        if column.kind != CATEGORY:
            if column.gaps:
                first.append(place)
                every += range(place, place + dates.width(column))
            place += dates.width(column)
    return np.array(first, np.int64), np.array(every, np.int64)


def _moments(values: np.ndarray) -> tuple[float, float]:
    shift, scale = moments(lambda: [values[:, None]], len(values))
    return float(shift[0]), float(scale[0])
