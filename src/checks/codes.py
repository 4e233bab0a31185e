"""The codes of the checks that look over a result: what each is called, and what one that fires says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from src.errors import UserError, nearest

# docs/checks.md has a chapter for each.
TITLES = {
    "P01": "overfitting",
    "P02": "underfitting",
    "P03": "no better than a baseline",
    "P04": "best at the edge of its search space",
    "P05": "still improving at the end",
    "P06": "too few rows for the differences shown",
    "P07": "residuals with a pattern",
    "P08": "a feature that is nearly the target",
    "P09": "the same rows in two splits",
    "P10": "drift between splits",
}


@dataclass(frozen=True)
class Finding:
    """A check that fired.

    Args:
        code: one of ``TITLES``.
        text: what was found, in a line.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {TITLES[self.code]}: {self.text}"


def complaint(codes: Any) -> str | None:
    """What is wrong with a list of codes, as ``src.config.bounds`` words it; None where nothing is."""
    if not isinstance(codes, list):
        return "a list of codes of checks, [P03]"
    for code in codes:
        if code not in TITLES:
            return f"a list of codes of checks, and {code!r} is none{nearest(str(code), list(TITLES))}"
    return None


def checked(codes: Any) -> list[str]:
    """The codes of ``checks.ignore``.

    Raises:
        UserError: one is of no check.
    """
    if said := complaint(codes):
        raise UserError(f"checks.ignore must be {said}, found {codes!r}")
    return list(codes)


def fired(answers: Mapping[str, str | None], ignore: Collection[str] = ()) -> list[Finding]:
    """The findings of answers by code, in the order of the codes, without those that are to be ignored."""
    return [Finding(code, text) for code in TITLES if code not in ignore and (text := answers.get(code))]
