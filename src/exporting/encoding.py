"""What ``src.data.encoder.Encoder`` does, in torch operations alone, so that it can be exported with a net.

It is written a second time because training needs it in NumPy; whatever is exported is held against the first before
it is kept.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from src.data.categories import Category
from src.data.dates import DECIMALS, WEEK, YEAR
from src.data.encoder import Encoder
from src.data.numbers import CLIP, Numbers, normal
from src.data.table import BOOLEAN, CATEGORY, MOMENT, NUMBER, Column


class Encoding(nn.Module):
    """Raw columns to what a net sees.

    Args:
        encoder: whose numbers these are.
        columns: the raw ones; a category's ``values`` are those that its places count.

    Shape:
        (rows, features) to (rows, width), float64.
    """

    def __init__(self, encoder: Encoder, columns: Sequence[Column]) -> None:
        super().__init__()
        kinds = [column.kind for column in columns]
        plain = [place for place, kind in enumerate(kinds) if kind in (NUMBER, BOOLEAN)]
        categories = [place for place, kind in enumerate(kinds) if kind == CATEGORY]
        self.dates = [(place, kind) for place, kind in enumerate(kinds) if place not in {*plain, *categories}]
        self.plain = nn.Buffer(torch.tensor(plain)) if plain else None
        # Of which column each number is, in the order in which they are computed, and in which the encoder has them.
        owners = plain + [place for place, kind in self.dates for _ in range(8 if kind == MOMENT else 6)]
        self.order = nn.Buffer(torch.from_numpy(np.argsort(owners, kind="stable"))) if self.dates else None
        self.scaled = _Scaled(encoder.numbers) if owners else None
        self.categories = categories
        self.coded = nn.ModuleList(
            _Coded(category, columns[place]) for place, category in zip(categories, encoder.categories, strict=True)
        )

    def forward(self, raw: Tensor) -> Tensor:
        """Numbers, flags of gaps, one-hot columns, codes."""
        found = []
        if self.scaled is not None:
            parts = [] if self.plain is None else [raw[:, self.plain]]
            parts += [date_parts(raw[:, place], kind == MOMENT) for place, kind in self.dates]
            found.append(self.scaled(parts[0] if self.order is None else torch.cat(parts, 1)[:, self.order]))
        pairs = list(zip(self.categories, self.coded, strict=True))
        for spread in (True, False):
            found += [coded(raw[:, place]) for place, coded in pairs if coded.spread == spread]
        return torch.cat(found, 1)


class _Scaled(nn.Module):
    """``Numbers.encode``."""

    shift: Tensor
    scale: Tensor
    fill: Tensor
    places: Tensor
    flagged: Tensor
    knots: Tensor
    offset: Tensor
    height: Tensor
    slope: Tensor
    start: Tensor

    def __init__(self, numbers: Numbers) -> None:
        super().__init__()
        self.scaling, self.identity, self.gaps = numbers.scaling, numbers.is_identity, bool(len(numbers.gaps))
        held = {"shift": numbers.shift, "scale": numbers.scale}
        if numbers.scaling == "quantile":
            held = _segments(numbers.knots)
        if self.gaps:
            held |= {"fill": numbers.fill, "places": numbers.gaps, "flagged": numbers.flagged.astype(np.float64)}
        # Nothing empty: torch 2.13 cannot save a program that holds such a tensor.
        for name, values in held.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)))

    def forward(self, numbers: Tensor) -> Tensor:
        if self.identity:
            return numbers
        if not self.gaps:
            return self._bent(numbers)
        gap = numbers.isnan()
        flags = gap[:, self.places].to(numbers.dtype) * self.flagged
        return torch.cat([self._bent(torch.where(gap, self.fill, numbers)), flags], 1)

    def _bent(self, numbers: Tensor) -> Tensor:
        if self.scaling == "quantile":
            at = (numbers[:, :, None] >= self.knots).sum(-1) + self.offset
            return self.height[at] + self.slope[at] * (numbers - self.start[at])
        scaled = (numbers - self.shift) / self.scale
        return scaled / torch.sqrt(1 + (scaled / CLIP).square()) if self.scaling == "robust" else scaled


def _segments(knots: np.ndarray) -> dict[str, np.ndarray]:
    """``np.interp`` over knots (columns, n) as n + 1 straight pieces a column; the outer ones are level."""
    ends, width = normal(), np.diff(knots, axis=1)
    # Of knots that coincide no value lies between.
    slope = np.divide(np.diff(ends), width, out=np.zeros_like(width), where=width > 0)
    level = np.zeros((len(knots), 1))
    height = np.tile(np.append(ends[:1], ends), (len(knots), 1))
    pieces = {
        "slope": np.concatenate([level, slope, level], axis=1),
        "height": height,
        "start": np.concatenate([knots[:, :1], knots], axis=1),
    }
    offset = np.arange(len(knots)) * height.shape[1]
    return {name: values.ravel() for name, values in pieces.items()} | {"knots": knots, "offset": offset}


class _Coded(nn.Module):
    """``Category.one_hot`` or ``Category.codes``: a row for what each place becomes, the last two unknown and a gap."""

    table: Tensor

    def __init__(self, category: Category, column: Column) -> None:
        super().__init__()
        places = np.append(category.lookup(column), [-1, np.nan])
        self.spread = bool(category.columns)
        becomes = category.one_hot(places) if self.spread else category.codes(places)[:, None]
        self.register_buffer("table", torch.from_numpy(becomes))
        self.known = len(column.values)

    def forward(self, places: Tensor) -> Tensor:
        gap = places.isnan()
        known = (places >= 0) & (places < self.known)
        row = torch.where(gap, self.known + 1.0, torch.where(known, places, float(self.known)))
        return self.table[row.long()]


def date_parts(days: Tensor, moment: bool) -> Tensor:
    """``dates.encode`` for days since 1970 (rows,), float64: (rows, 8) of moments, (rows, 6) of dates."""
    gap = days.isnan()
    there = torch.where(gap, torch.zeros_like(days), days)
    whole = there.floor()
    year = ((whole + 0.5) / YEAR).floor() + 1970  # a day off at most, where a year begins
    year = year - (whole < _first_day(year)).to(days.dtype)
    year = year + (whole >= _first_day(year + 1)).to(days.dtype)
    turns = [(whole - _first_day(year)) / YEAR, (whole + 3) / WEEK]
    if moment:
        turns.append(there - whole)
    size = 10.0**DECIMALS
    circles = [(f(2 * np.pi * turn) * size).round() / size for turn in turns for f in (torch.sin, torch.cos)]
    return torch.where(gap[:, None], torch.full_like(days, torch.nan)[:, None], torch.stack([days, year, *circles], 1))


def _first_day(year: Tensor) -> Tensor:
    """Days from the first of January 1970 to that of a year (Gregorian)."""
    past = year - 1
    return 365 * (year - 1970) + (past / 4).floor() - (past / 100).floor() + (past / 400).floor() - 477
