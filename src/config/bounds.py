"""What a value of the configuration may be, and the words that say so."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from src.checks.codes import complaint


@dataclass(frozen=True)
class Number:
    """A bounded number; the words say the bounds as a person would."""

    words: str
    allowed: Callable[[float], bool]
    whole: bool = False
    optional: bool = False

    def complaint(self, value: Any) -> str | None:
        """What was expected, where the value is not it."""
        if value is None:
            return None if self.optional else self.words
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return self._expected()
        if isinstance(value, float) and not math.isfinite(value):
            return self._expected()
        if abs(value) >= 2**63:
            return f"{self._expected()}, below 2⁶³"  # what torch and NumPy can hold
        return None if self.allowed(value) else self._expected()

    def _expected(self) -> str:
        return self.words + (" or null" if self.optional else "")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def complaint(self, value: Any) -> str | None:
        """The choices, where the value is none of them."""
        if any(value is v or (type(value) is type(v) and value == v) for v in self.values):
            return None
        return "one of " + ", ".join(dict.fromkeys("null" if v is None else str(v).lower() for v in self.values))


@dataclass(frozen=True)
class Auto:
    """``auto``, or what else a rule allows."""

    other: Number

    def complaint(self, value: Any) -> str | None:
        """Both, where the value is neither."""
        complaint = self.other.complaint(value)
        return None if value == "auto" or not complaint else f"auto or {complaint}"


@dataclass(frozen=True)
class Each:
    """A list whose items all fit; an empty one only where allowed."""

    item: "Rule"
    words: str
    length: int | None = None
    optional: bool = False
    empty: bool = False

    def complaint(self, value: Any) -> str | None:
        """What the list should hold, where it does not."""
        if value is None and self.optional:
            return None
        fits = isinstance(value, list) and (self.empty or len(value) > 0) and self.length in (None, len(value))
        return None if fits and not any(self.item.complaint(v) for v in value) else self.words


@dataclass(frozen=True)
class Text:
    """A string with something in it."""

    words: str = "a name"
    optional: bool = False

    def complaint(self, value: Any) -> str | None:
        """That a text was expected, where it was not; a number can be one."""
        if (isinstance(value, str) and value.strip()) or (value is None and self.optional):
            return None
        expected = self.words + (" or null" if self.optional else "")
        return f"{expected}, which quotes make of it ('\"{value}\"')" if isinstance(value, (int, float)) else expected


class Columns:
    """The name of a column, or a list of different ones."""

    def complaint(self, value: Any) -> str | None:
        """That it was expected, where the value is neither."""
        if not isinstance(value, list):
            return Text("the name of one column").complaint(value)
        fits = value and not any(map(Text().complaint, value)) and len(set(value)) == len(value)
        return None if fits else "the name of one column, or a list of different ones, [a,b]"


class Character:
    """One character, or null."""

    def complaint(self, value: Any) -> str | None:
        """That one was expected, where it was not."""
        return None if value is None or (isinstance(value, str) and len(value) == 1) else "one character or null"


class Codes:
    """A list of codes of checks; the nearest one is named where one is of none."""

    def complaint(self, value: Any) -> str | None:
        """What was expected, where the value is not it."""
        return complaint(value)


Rule = Number | Choice | Each | Text | Columns | Auto | Character | Codes
