"""Which column is what: features, target, what rows are split by, and what is left out, with the reason."""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.columns import Cells
from src.data.matrix import kept
from src.data.table import CATEGORY, MOMENT, NUMBER, Column, Table
from src.errors import UserError, nearest

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable

_MANY = 1 << 17  # rows whose columns are read side by side
_AN_ID = re.compile(r"|unnamed: 0|index|row ?names?|row|(.*[_ .-])?(id|key|uuid|guid)", re.IGNORECASE)
_SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "holdout": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev"), "val")


@dataclass(frozen=True)
class Roles:
    """What columns are asked to be.

    Args:
        target: the column to predict, of numbers, or several; rows that lack one are left out.
        features: None takes all that can be of use.
        drop: columns that are no features.
        numeric, categorical: columns of that kind, whatever stands in them.
        group, time, split: columns that decide which rows are trained on; features only where ``features`` names them.
        weight: a column of how much each row counts, 0 or more; no feature.
        missing: words that mean a gap, besides those of ``GAPS``.
    """

    target: str | Sequence[str]
    features: list[str] | None = None
    drop: Sequence[str] = ()
    numeric: Sequence[str] = ()
    categorical: Sequence[str] = ()
    group: str | None = None
    time: str | None = None
    split: str | None = None
    weight: str | None = None
    missing: Sequence[str] = ()

    @property
    def targets(self) -> list[str]:
        """The columns to predict."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    @property
    def plain(self) -> bool:
        """Whether they ask for nothing that columns of numbers alone cannot be."""
        return not (self.categorical or self.missing or self.keys)

    @property
    def keys(self) -> list[str]:
        """The columns by which rows are split or weighed."""
        return [name for name in dict.fromkeys((self.group, self.time, self.split, self.weight)) if name is not None]

    def chosen(self, header: Sequence[str], where: str) -> list[str]:
        """The names of the features, before anything is known of their values.

        Raises:
            UserError: a column is missing, or is two things at once.
        """
        known = set(header)
        if len(header) == 1:
            raise UserError(f"{where}: is not a table (one column, {header[0][:60]!r}), expected features and a target")
        for name in self.targets:
            if name not in known:
                raise UserError(f"{where}: has no target column {name!r}{nearest(name, list(header))}")
        for option in ("drop", "numeric", "categorical"):
            for name in getattr(self, option):
                if name not in known:
                    raise UserError(f"{where}: has no column {name!r} (data.{option}){nearest(name, list(header))}")
        if self.group and self.time:
            raise UserError(f"data.group={self.group} and data.time={self.time}: expected one of them")
        for role in ("group", "time", "split", "weight"):
            if (name := getattr(self, role)) in self.targets:
                raise UserError(f"data.{role}={name}: is the target, expected another column")
        apart = {*self.targets, *self.drop, *self.keys}
        names = [name for name in header if name not in apart] if self.features is None else list(self.features)
        if not names:
            raise UserError("data.features is empty, expected at least one column")
        if both := next((name for name in self.targets if name in names), None):
            raise UserError(f"data.features holds the target {both!r}, expected other columns only")
        if self.weight in names:
            raise UserError(f"data.features holds the row weight {self.weight!r}, expected other columns only")
        if len(set(names)) < len(names):
            raise UserError(f"data.features names a column twice: {', '.join(names)}")
        return names

    def of_numbers(self, names: list[str], numbers: np.ndarray, target: np.ndarray, **said: Any) -> Table:
        """A table of columns of numbers without gaps: (rows, features) and (rows, targets)."""
        columns = [Column(name) for name in names]
        why = {} if self.features else _useless(columns, lambda place: numbers[:, place], target)
        keep = [place for place, name in enumerate(names) if name not in why]
        if why:
            numbers = kept(numbers, keep)
        return self._table([columns[place] for place in keep], numbers, target, why, **said)

    def of_cells(self, names: list[str], cells: "ArrowTable", reader: Cells, **said: Any) -> Table:
        """A table of columns of any kind.

        Raises:
            UserError: a column's cells do not fit its kind.
        """
        asked = dict.fromkeys(self.numeric, NUMBER) | dict.fromkeys(self.categorical, CATEGORY)
        asked |= dict.fromkeys([*self.targets, *([self.weight] if self.weight else [])], NUMBER)

        def read(name: str) -> tuple[Column, np.ndarray]:
            return reader.read(name, cells[name], asked.get(name))

        wanted = list(dict.fromkeys([*self.targets, *names, *self.keys]))
        # Of few rows a thread costs more than it gains.
        with ThreadPoolExecutor(os.cpu_count() if cells.num_rows > _MANY else 1) as pool:
            found = dict(zip(wanted, pool.map(read, wanted), strict=True))
        target = np.column_stack([found[name][1] for name in self.targets])
        gap = np.isnan(target)
        if gap.all(axis=0).any():
            empty = self.targets[int(gap.all(axis=0).argmax())]
            raise UserError(f"{said['source']}: the target {empty!r} holds no number")
        there = ~gap.any(axis=1)
        if not there.any():
            raise UserError(f"{said['source']}: no row has a number in each of the targets {', '.join(self.targets)}")
        if whole := bool(there.all()):
            there = np.s_[:]  # no copies
        target = target[there]
        columns = [found[name][0] for name in names]
        why = {} if self.features else _useless(columns, lambda place: found[names[place]][1][there], target)
        columns = [column for column in columns if column.name not in why]
        # Places of words and whole days are small numbers.
        exact = [found[column.name][1] for column in columns if column.kind in (NUMBER, MOMENT)]
        features = np.empty((len(target), len(columns)), _precision(exact, said["precision"]))
        for place, column in enumerate(columns):
            features[:, place] = found[column.name][1][there]
        dropped = 0 if whole else int((~there).sum())
        keys: dict[str, Any] = {"dropped": dropped}
        if self.group:
            keys["group"] = found[self.group][1][there]
        if self.time:
            keys["time"] = _without_gaps(found[self.time][1][there], "time", self.time)
        if self.split:
            keys["split"] = _parts(found[self.split], there, self.split)
        if self.weight:
            keys |= {"weight": _weights(found[self.weight][1], there, self.weight, reader), "weight_name": self.weight}
        return self._table(columns, features, target, why, **keys, **said)

    def _table(
        self, columns: list[Column], features: np.ndarray, target: np.ndarray, why: dict[str, str], **said: Any
    ) -> Table:
        if not columns:
            raise UserError(f"{said['source']}: no column is of use as a feature: {_listed(why)}")
        left_out = dict.fromkeys(self.drop, "data.drop") | why
        for role in ("group", "time", "split", "weight"):
            if (name := getattr(self, role)) and name not in (self.features or ()):
                left_out[name] = f"data.{role}"
        names = [column.name for column in columns]
        return Table(features, target, names, self.targets, columns=columns, left_out=left_out, **said)


def _useless(columns: list[Column], numbers: Callable[[int], np.ndarray], target: np.ndarray) -> dict[str, str]:
    """Columns that tell nothing, or the answer: why, by name."""
    why: dict[str, str] = {}
    if len(target) < 2:
        return why
    for place, column in enumerate(columns):
        values = numbers(place)
        first, rows = values[0], len(values)
        if np.isnan(values).all():
            why[column.name] = "all gaps"
        elif not column.gaps and values[-1] == first and (values == first).all():
            why[column.name] = "constant"
        elif column.kind == NUMBER and (target[0].astype(values.dtype) == first).any() and rows > 2:
            if any(np.array_equal(values, own.astype(values.dtype), equal_nan=True) for own in target.T):
                why[column.name] = "a copy of the target"
        elif column.kind == CATEGORY:
            distinct = len(column.values)
            if distinct == rows > 2 or (rows >= 20 and distinct >= 0.9 * rows):
                why[column.name] = f"an id: {distinct} values in {rows} rows"
        named = column.name not in why and column.kind == NUMBER and _AN_ID.fullmatch(column.name)
        # A gap is no whole number.
        if named and rows > 2 and (values % 1 == 0).all() and len(np.unique(values)) == rows:
            why[column.name] = "an id: a whole number of its own for each row"
    return why


def _precision(columns: list[np.ndarray], dtype: Any) -> Any:
    """``dtype``, or float64 where rounding to it would take more than a millionth of a column's range."""
    if np.dtype(dtype) == np.float64:
        return dtype
    kind = np.finfo(dtype)
    for column in columns:
        low, high = np.fmin.reduce(column, initial=np.inf), np.fmax.reduce(column, initial=-np.inf)  # without gaps
        much, largest = 1e-6 * (high - low), max(-low, high)
        rounding = max(kind.eps * largest, kind.smallest_subnormal)  # at most
        if largest > kind.max or (rounding > much > 0 and np.nanmax(np.abs(column - column.astype(dtype))) > much):
            return np.float64
    return dtype


def _without_gaps(numbers: np.ndarray, role: str, name: str) -> np.ndarray:
    if np.isnan(numbers).any():
        raise UserError(f"data.{role}={name}: {int(np.isnan(numbers).sum())} rows have a gap there, expected none")
    return numbers


def _parts(found: tuple[Column, np.ndarray], there: Any, name: str) -> np.ndarray:
    """The part that each row is given to, (rows,) of train, val and test."""
    column, numbers = found
    words = np.array([_SPLITS.get(value.lower(), value) for value in column.values], dtype=object)
    odd = next((word for word in words if word not in ("train", "val", "test")), None)
    if column.kind != CATEGORY or odd is not None:
        what = f"{odd!r}" if odd is not None else f"{column.kind}s"
        raise UserError(f"data.split={name}: expected train, val and test in that column, found {what}")
    return words[_without_gaps(numbers[there], "split", name).astype(int)]


def _weights(numbers: np.ndarray, there: Any, name: str, reader: Cells) -> np.ndarray:
    """How much each row that is ``there`` counts, (rows,)."""
    places = np.arange(len(numbers))[there]
    wrong = ~(numbers[places] >= 0)  # a gap is neither
    if wrong.any():
        where, cell = reader.at(int(places[np.argmax(wrong)]), name)
        raise UserError(f"{where}, column {name!r}: found {cell!r}, expected a weight of 0 or more")
    return numbers[places]


def _listed(why: dict[str, str]) -> str:
    return ", ".join(f"{name} ({reason})" for name, reason in list(why.items())[:5])
