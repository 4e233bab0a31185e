"""What a page is made of, in plain values: the template lays it out and escapes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from src.checks.codes import Finding


@dataclass(frozen=True)
class Tile:
    """A number of the headline."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with its words.

    Args:
        title: above it.
        svg: None where it cannot be drawn; ``note`` says why.
        note: below it.
        keys: names in its legend by the class that gives their colour.
        wide: whether it takes the whole width, and scrolls where that is small.
    """

    title: str
    svg: Markup | None
    note: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    wide: bool = False


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        caption: its name.
        head: the columns.
        rows: cells; the first one names its row.
        shut: columns that are not shown until they are chosen.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    shut: frozenset[str] = frozenset()

    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, for their alignment and order."""
        return [all(_is_number(row[place]) for row in self.rows) for place in range(len(self.head))]


def _is_number(text: str) -> bool:
    if not text:
        return True
    try:
        float(text.replace("−", "-"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Section:
    """A chapter: figures and tables under a heading."""

    id: str
    title: str
    lead: str = ""
    figures: Sequence[Figure] = ()
    grids: Sequence[Grid] = ()
    note: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page.

    Args:
        title, kind: what it is about; run, comparison or sweep.
        asked: the command.
        about: sentences on data and circumstances.
        tiles: the headline's numbers.
        remarks: what the ranks are worth.
        findings: checks that fired.
        board: the leaderboard, or a run's figures.
        sections: in their order.
        runs: a section for each of the first runs.
        commands: what to do next, by what it does.
        config: the configuration as text.
        environment: what it ran on.
    """

    title: str
    kind: str
    asked: str
    about: Sequence[str]
    tiles: Sequence[Tile]
    findings: Sequence[Finding]
    board: Grid | None
    sections: Sequence[Section]
    runs: Sequence[Section]
    commands: Mapping[str, str]
    config: str
    environment: Mapping[str, Any]
    remarks: Sequence[str] = ()
