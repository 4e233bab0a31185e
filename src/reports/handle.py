"""A sweep as Python has it: its leaderboard and its best run."""

from collections import Counter
from collections.abc import Collection
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import UserError
from src.reports.leaderboard import SHOWN, Row, names_of, ranked, short, table
from src.reports.sweep_folder import read
from src.runs.find import find
from src.runs.run import Run

if TYPE_CHECKING:
    import pandas as pd


class Sweep:
    """A sweep's folder as it was when it was first asked.

    Args:
        folder: the sweep's, or ``last``.
        trust: as for ``Run``.

    Raises:
        UserError: there is no such sweep.
    """

    def __init__(self, folder: str | Path, trust: Collection[str] = ()) -> None:
        self.folder = find(str(folder), "sweep").absolute()
        self._trust = tuple(trust)
        if not self.folder.is_dir():
            raise UserError(f"sweep={folder}: no such folder")

    @cached_property
    def _rows(self) -> list[Row]:
        found = read(self.folder)
        return ranked(found.rows, found.directions)

    @property
    def trials(self) -> "pd.DataFrame":
        """The leaderboard, best first, as leaderboard.csv has it; a trial without a result has no rank."""
        return table(self._rows).convert_dtypes()

    @property
    def best(self) -> Run:
        """The best run; of several objectives the first of those that no other beats.

        Raises:
            UserError: no trial came to a result.
        """
        first = self._rows[0]
        if first.rank is None:
            raise UserError(f"sweep={self.folder}: no run came to a result")
        return Run(self.folder / first.folder, self._trust)

    def __repr__(self) -> str:
        """How many runs came to what, and the folder, in a line."""
        return f"Sweep({str(self.folder)!r}: {self._counts()})"

    def _repr_html_(self) -> str:
        """The same for a notebook, with the best rows."""
        rows = self._rows[:SHOWN]
        other = {name for row in rows for name in row.metrics} | {"message"}
        cells = table(rows).drop(columns=other).map(short).to_html(index=False, border=0)
        lines = [f"<b>{escape(self.folder.name)}: {escape(', '.join(names_of(self._rows)))}</b>"]
        lines += [escape(self._counts()), f"<code>{escape(str(self.folder))}</code>"]
        return f"<div><p>{'<br>'.join(lines)}</p>{cells}</div>"

    def _counts(self) -> str:
        counts = Counter(row.status for row in self._rows)
        return ", ".join(f"{count} {status}" for status, count in counts.items())
