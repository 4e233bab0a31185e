"""Cells to numbers with a meaning: what kind of column it is, and each cell as that kind."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.form import number_pattern
from src.data.table import BOOLEAN, CATEGORY, DATE, MOMENT, NUMBER, Column
from src.errors import UserError

if TYPE_CHECKING:
    from pyarrow import Array, ChunkedArray

GAPS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")
FLAGS = ({"true": 1.0, "false": 0.0}, {"yes": 1.0, "no": 0.0})
# Beside ISO 8601; of several that fit all cells the first is taken.
_DATES = ("%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m", "%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y")

At = Callable[[int, str], tuple[str, str]]  # of a row, counted from 0, and a column: where it is, and what is there


class Cells:
    """Reads columns, each by itself.

    ``dates`` says of columns in which ways their dates may be written, where that is known: a piece of a column may
    fit more of them than the whole.

    Args:
        gaps: words that mean that a cell is empty.
        marks: the decimal and the thousands mark.
        largest: number that a column may hold.
        at: says where a cell stands, and what it was before it was read.
    """

    def __init__(self, gaps: Sequence[str], marks: tuple[str, str], largest: float, at: At) -> None:
        self.gaps, self.marks, self.largest, self.at = list(gaps), marks, largest, at
        self.dates: dict[str, list[int]] = {}

    def read(self, name: str, cells: "ChunkedArray", kind: str | None = None) -> tuple[Column, np.ndarray]:
        """A column and its numbers (rows,), float64.

        Args:
            name, cells: of the column.
            kind: what it has to be; None finds out.

        Raises:
            UserError: a cell is not of that kind, or infinite, or too large; or half of the cells and more are numbers,
                and others are not.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        cells = cells.combine_chunks()
        own = cells.type
        if pa.types.is_dictionary(own):
            if pa.types.is_string(own.value_type):
                return self._words(name, cells, kind)
            cells = pc.cast(cells, own.value_type)
            own = cells.type
        if pa.types.is_integer(own) or pa.types.is_floating(own) or pa.types.is_decimal(own) or pa.types.is_null(own):
            if kind in (None, NUMBER):
                numbers = np.asarray(
                    pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
                )
                return self._numbers(name, numbers)
            if pa.types.is_floating(own) and not bool(pc.any(pc.not_equal(cells, pc.round(cells))).as_py()):
                cells = pc.cast(pc.if_else(pc.is_nan(cells), None, cells), pa.int64())  # 3.0 beside a gap was a 3
        elif pa.types.is_boolean(own) and kind in (None, BOOLEAN):
            flags = np.asarray(pc.cast(cells, pa.int8()).to_numpy(zero_copy_only=False), np.float64)
            return Column(name, BOOLEAN, gaps=bool(np.isnan(flags).any())), flags
        elif (pa.types.is_timestamp(own) or pa.types.is_date(own)) and kind in (None, DATE, MOMENT):
            days = _days(cells)
            return _dated(name, days, kind, bool(np.isnan(days).any())), days
        elif pa.types.is_string(own) and kind == NUMBER and self.marks == (".", ""):
            try:  # each is another number, more often than not
                plain = pc.cast(pc.if_else(pc.is_in(cells, self._gaps), None, cells), pa.float64())
                return self._numbers(name, np.asarray(plain.to_numpy(zero_copy_only=False), np.float64))
            except pa.ArrowInvalid:
                pass
        try:
            coded = pc.dictionary_encode(pc.cast(cells, pa.string()))
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            raise self._refused(name, 0, f"numbers, words or dates, not {own}") from None
        return self._words(name, coded, kind)

    @property
    def _gaps(self) -> "Array":
        import pyarrow as pa

        return pa.array(self.gaps, pa.string())

    def narrow_dates(self, name: str, cells: "ChunkedArray") -> None:
        """Leaves of the ways in which a column's dates may be written those that read these cells, strings, as well."""
        import pyarrow.compute as pc

        words = pc.utf8_trim_whitespace(pc.unique(cells))
        words = pc.if_else(pc.is_in(words, self._gaps), None, words)
        ways = self.dates.get(name, range(len(_ways())))
        self.dates[name] = [way for way in ways if _dates(words, [way]) is not None]

    def _words(self, name: str, coded: "Array", kind: str | None) -> tuple[Column, np.ndarray]:
        """Each word is looked at once, however often it stands there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        words = pc.utf8_trim_whitespace(coded.dictionary)
        code = pc.fill_null(coded.indices, len(words)).to_numpy()  # the last is a gap
        count = np.bincount(code, minlength=len(words) + 1)[:-1]
        gap = pc.or_(pc.is_in(words, self._gaps), pa.array(count == 0))
        words = pc.if_else(gap, pa.scalar(None, pa.string()), words)
        there = words.is_valid().to_numpy(zero_copy_only=False)
        total = int(count[there].sum())

        def row_of(word: np.ndarray) -> int:
            return int(np.argmax(np.append(word, False)[code]))

        def spread(numbers: np.ndarray) -> np.ndarray:
            return np.append(numbers, np.nan).take(code)

        if kind in (None, NUMBER):
            numbers = _numbers(words, *self.marks)
            is_word = there & np.isnan(numbers)
            if kind or not is_word.any() or 2 * count[is_word].sum() <= total:
                if is_word.any():
                    cure = "" if kind else f"; data.categorical=[{name}] reads words, data.missing=[…] names more gaps"
                    raise self._refused(name, row_of(is_word), f"a number{cure}", "the text ")
                return self._numbers(name, spread(numbers))
        if kind in (None, BOOLEAN):
            lower = [word.lower() if word is not None else None for word in words[:64].to_pylist()]
            for flags in FLAGS:
                known = np.array([flags.get(word or "", np.nan) for word in lower])
                if len(words) <= 64 and (kind or set(flags) <= set(lower)) and not np.isnan(known[there]).any():
                    return Column(name, BOOLEAN, gaps=total < len(code)), spread(known)
        if kind in (None, DATE, MOMENT) and (days := _dates(words, self.dates.get(name))) is not None:
            return _dated(name, days[there], kind, total < len(code)), spread(days)
        if kind in (BOOLEAN, DATE, MOMENT):
            raise self._refused(name, row_of(there), f"a {kind} in each row")
        values = pc.unique(words.drop_null())
        values = values.take(pc.array_sort_indices(values))
        numbers = pc.cast(pc.index_in(words, values), pa.float64()).to_numpy(zero_copy_only=False)
        return Column(name, CATEGORY, tuple(values.to_pylist()), total < len(code)), spread(numbers)

    def _numbers(self, name: str, numbers: np.ndarray) -> tuple[Column, np.ndarray]:
        too_large = np.abs(numbers) > self.largest
        if too_large.any():
            row = int(np.argmax(too_large))
            wanted = f"at most {self.largest:.3g} ({'float32' if self.largest < 1e300 else 'float64'})"
            wanted = "a finite number" if np.isinf(numbers[row]) else wanted
            raise self._refused(name, row, wanted)
        return Column(name, NUMBER, gaps=bool(np.isnan(numbers).any())), numbers

    def _refused(self, name: str, row: int, expected: str, what: str = "") -> UserError:
        where, cell = self.at(row, name)
        return UserError(f"{where}, column {name!r}: found {what}{cell!r}, expected {expected}")


def _dated(name: str, days: np.ndarray, kind: str | None, gaps: bool) -> Column:
    whole = bool((np.nan_to_num(days) % 1 == 0).all())
    return Column(name, kind or (DATE if whole else MOMENT), gaps=gaps)


def _numbers(words: "Array", decimal: str, thousands: str) -> np.ndarray:
    """Words as numbers, float64; NaN for those that are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal == "." and not thousands:
        try:
            return pc.cast(words, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass
    like = pc.match_substring_regex(words, rf"^(({number_pattern(decimal, thousands).pattern})|(?i:[+-]?inf(inity)?))$")
    if not pc.any(like).as_py():
        return np.full(len(words), np.nan)
    words = pc.if_else(like, words, pa.scalar(None, pa.string()))
    if thousands:
        words = pc.replace_substring(words, thousands, "")
    words = pc.replace_substring(words, decimal, ".")
    words = pc.replace_substring_regex(pc.utf8_lower(words), r"^\+|(\.)(e|$)|inity", r"\2")
    return pc.cast(words, pa.float64()).to_numpy(zero_copy_only=False)


def _dates(words: "Array", ways: Sequence[int] | None = None) -> np.ndarray | None:
    """Words as days since 1970, float64, in the first of the ways that reads all of them; None where none does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Of four digits, or scores such as 1-2 would be months of early years.
    if pc.all(pc.match_substring_regex(words, r"\b\d{4}\b")).as_py() is False:  # None where there are gaps alone
        return None
    every = _ways()
    for way in range(len(every)) if ways is None else ways:
        try:
            return _days(every[way](words))
        except pa.ArrowInvalid:
            continue
    return None


def _ways() -> "list[Callable[[Array], Array]]":
    """How dates may be written: each reads words, and raises where one is no such date."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[Any] = [lambda words, zone=zone: pc.cast(words, pa.timestamp("us", zone)) for zone in (None, "UTC")]
    return found + [lambda words, form=form: pc.strptime(words, form, "us") for form in _DATES]


def _days(dates: "Array") -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    micros = pc.cast(pc.cast(dates, pa.timestamp("us"), safe=False), pa.int64())
    return np.asarray(micros.to_numpy(zero_copy_only=False), np.float64) / 86_400_000_000
