"""Which runs are wanted, in which order, and how a list of them is shown."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import UserError, nearest
from src.runs.found import Found, found
from src.runs.status import DIVERGED, FAILED, INTERRUPTED, PRUNED, has_result
from src.training.task import direction_of

_SORTS = ("started", "seconds", "objective")
_STATUSES = ("completed", "stopped early", DIVERGED, PRUNED, INTERRUPTED, FAILED, "running", "unfinished")
_HEAD = ("status", "model", "data", "objective", "value", "seconds", "folder")


@dataclass(frozen=True)
class Wanted:
    """What is asked for; None is all.

    Args:
        folder: where to look.
        model, data, status: of the runs.
        sort: started, seconds or objective.
        limit: how many.

    Raises:
        UserError: there is no such folder, status or order, or the limit is no number.
    """

    folder: str
    model: str | None = None
    data: str | None = None
    status: str | None = None
    sort: str = "started"
    limit: int | None = None

    def __post_init__(self) -> None:
        if not Path(str(self.folder)).is_dir():
            more = ", where runs go unless they are told otherwise; folder=DIR looks elsewhere"
            raise UserError(f"folder={self.folder}: there is no such folder" + more * (self.folder == "outputs"))
        if self.sort not in _SORTS:
            raise UserError(f"sort={self.sort}: there is no such order{nearest(str(self.sort), list(_SORTS))}")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise UserError(f"limit must be a whole number from 1 on, found {self.limit!r}")

    def runs(self) -> list[Found]:
        """Those that are wanted, in their order, however many.

        Raises:
            UserError: no run ever ended so.
        """
        every = list(found(Path(str(self.folder))))
        known = dict.fromkeys([*_STATUSES, *(name for run in every for name in run.statuses or [run.status])])
        if self.status is not None and str(self.status) not in known:
            raise UserError(f"status={self.status}: no run ends so{nearest(str(self.status), list(known))}")
        some = [run for run in every if self._is(run)]
        by_seconds = self.sort == "seconds"
        return sorted(some, key=lambda run: (run.seconds or 0.0) if by_seconds else run.started, reverse=True)

    def _is(self, run: Found) -> bool:
        names = {run.data, Path(run.data).name, Path(run.data).stem}
        return (
            (self.status is None or str(self.status) in (run.statuses or [run.status]))
            and (self.model is None or str(self.model) == run.model)
            and (self.data is None or str(self.data) in names)
        )


def show(wanted: Wanted) -> None:
    """Prints a list; by objective one for all that can be compared: on the same rows, split alike."""
    runs = wanted.runs()
    if not runs:
        print(f"{wanted.folder}: there are no such runs")
        return
    if wanted.sort != "objective":
        print_aligned([_HEAD, *map(_row, runs[: wanted.limit])])
        _say_rest(len(runs), wanted.limit)
        return
    ranked: dict[tuple[str, ...], list[Found]] = {}
    for run in runs:
        if run.value is not None and math.isfinite(run.value) and (run.is_sweep or has_result(run.status)):
            ranked.setdefault((run.rows or run.data, run.splits, run.target, run.objective), []).append(run)
    for alike in ranked.values():
        sign = -1 if direction_of(alike[0].objective) == "maximize" else 1
        alike.sort(key=lambda run: sign * (run.value or 0.0))
        first = alike[0]
        print(f"{first.objective} of {first.target}, {Path(first.data).name} ({first.rows[:8]}), rows: {first.splits}")
        print_aligned([("rank", *_HEAD), *((str(n), *_row(run)) for n, run in enumerate(alike[: wanted.limit], 1))])
        _say_rest(len(alike), wanted.limit)
        print()
    if without := len(runs) - sum(map(len, ranked.values())):
        print(f"{without} without a result")


def _row(run: Found) -> tuple[str, ...]:
    value = "" if run.value is None else f"{run.value:.6g}"
    seconds = "" if run.seconds is None else f"{run.seconds:.2f}"
    return run.status, run.model, Path(run.data).name, run.objective, value, seconds, str(run.path)


def _say_rest(count: int, limit: int | None) -> None:
    if limit is not None and count > limit:
        print(f"{count - limit} more")


def print_aligned(rows: Iterable[Sequence[Any]]) -> None:
    """Lines of cells in columns, each as wide as it needs."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
