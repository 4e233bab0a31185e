"""The runs of a sweep, best first: plain rows in, ranked rows, a CSV and a terminal table out."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from src.results.status import FAILED, has_result, place

SHOWN = 10  # rows on the terminal


@dataclass
class Row:
    """A run. ``rank`` is 1 for the best and None for one without: pruned, diverged, failed, at work.

    ``values`` are the objectives. ``seeds``, ``average`` and ``spread`` describe the runs that differ from
    this one only by their seed; ``spread`` is the sample's standard deviation.
    """

    folder: str
    status: str
    params: dict[str, Any] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    message: str | None = None
    command: str | None = None
    number: int = 0
    rank: int | None = None
    seeds: int | None = None
    average: float | None = None
    spread: float | None = None


# What leaderboard.csv and the report say of each run, besides its figures and its parameters.
COLUMNS: dict[str, Callable[[Row], Any]] = {
    "status": lambda row: row.status,
    "seconds": lambda row: row.seconds,
    "folder": lambda row: row.folder,
    "message": lambda row: row.message,
}


def ranked(rows: Sequence[Row], directions: Sequence[str]) -> list[Row]:
    """The rows, best first; then pruned, diverged, failed and unfinished ones.

    One objective ranks by value, or by the mean over seeds where runs differ only by seed. Of several
    objectives the rank counts the runs that are better in all of them, plus one: rank 1 is the Pareto front.

    Args:
        rows: as read.
        directions: minimize or maximize, one for each objective.
    """
    signs = [1 if direction == "minimize" else -1 for direction in directions]

    def cost(row: Row) -> list[float]:
        return [sign * value for sign, value in zip(signs, row.values, strict=False)] or [math.inf]

    done: list[Row] = []
    rest: list[Row] = []
    for row in rows:
        whole = has_result(row.status) and row.values and all(map(math.isfinite, row.values))
        (done if whole else rest).append(row)
    if len(signs) > 1:
        _rank_fronts(done, [cost(row) for row in done])
        done.sort(key=lambda row: (row.rank, row.number))
    else:
        _join_seeds(done)
        key = [(sign * (row.average if row.average is not None else row.values[0])) for row in done for sign in signs]
        order = {id(row): (value, _others(row)) for row, value in zip(done, key, strict=True)}
        done.sort(key=lambda row: (order[id(row)], cost(row), row.number))
        previous, rank = None, 0
        for row in done:
            mark = order[id(row)] if row.seeds else row.folder
            rank += mark != previous
            previous, row.rank = mark, rank
    rest.sort(
        key=lambda row: (
            place(row.status),
            [math.inf if math.isnan(value) else value for value in cost(row)],
            row.number,
        )
    )
    return done + rest


def _others(row: Row) -> str:
    return str({key: value for key, value in row.params.items() if key != "seed"}) if row.seeds else row.folder


def _join_seeds(rows: list[Row]) -> None:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if "seed" in row.params:
            groups.setdefault(str({k: v for k, v in row.params.items() if k != "seed"}), []).append(row)
    for group in groups.values():
        if len(group) > 1:
            values = [row.values[0] for row in group]
            average, spread = mean(values), stdev(values)
            for row in group:
                row.seeds, row.average, row.spread = len(group), average, spread


def _rank_fronts(rows: list[Row], costs: list[list[float]]) -> None:
    import numpy as np

    table = np.array(costs).reshape(len(rows), -1)
    for row, cost in zip(rows, table, strict=True):
        row.rank = 1 + int(((table <= cost).all(axis=1) & (table < cost).any(axis=1)).sum())


def columns(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """The header and the cells of leaderboard.csv."""
    names = next((row.names for row in rows if row.names), ["objective"])
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    params = list(dict.fromkeys(name for row in rows for name in row.params))
    seeds = any(row.seeds for row in rows)
    objective = ["objective"] if len(names) == 1 else [f"objective {name}" for name in names]
    header = [
        "rank",
        *objective,
        *(["seeds", "mean", "std"] if seeds else []),
        *metrics,
        *params,
        *COLUMNS,
    ]
    cells = []
    for row in rows:
        values = [row.values[i] if i < len(row.values) else None for i in range(len(names))]
        cells.append(
            [
                row.rank,
                *values,
                *([row.seeds, row.average, row.spread] if seeds else []),
                *(row.metrics.get(name) for name in metrics),
                *(row.params.get(name) for name in params),
                *(get(row) for get in COLUMNS.values()),
            ]
        )
    return header, cells


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """leaderboard.csv, in one atomic step; what a run has not stays empty."""
    header, cells = columns(rows)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([["" if cell is None else cell for cell in line] for line in cells])
    partial.replace(path)


def print_table(rows: Sequence[Row], title: str) -> None:
    """The best rows, one for each group of seeds, and what became of the others."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    names = next((row.names for row in rows if row.names), ["objective"])
    best = _one_each([row for row in rows if row.rank is not None]) or list(rows)
    params = list(dict.fromkeys(name for row in rows for name in row.params))
    if any(row.seeds for row in best):
        params = [name for name in params if name != "seed"]
    table = Table(title=title, title_justify="left")
    for name in ("rank", *names, "changed", "status", "seconds", "folder"):
        words = name in ("changed", "status", "folder")
        justify: Literal["left", "right"] = "left" if words else "right"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=name != "changed")
    for row in best[:SHOWN]:
        values = [f"{value:.6g}" for value in row.values] or [""] * len(names)
        if row.seeds:
            values = [f"{row.average:.6g} ± {row.spread:.2g} ({row.seeds} seeds)"]
        changed = " ".join(f"{name}={short(row.params[name])}" for name in params if name in row.params)
        seconds = "" if row.seconds is None else f"{row.seconds:.2f}"
        cells = [str(row.rank or ""), *values, changed, row.status, seconds, row.folder]
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    console.print(
        f"{len(rows)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.items()),
        markup=False,
    )
    for row in [row for row in rows if row.status == FAILED][:3]:
        console.print(f"failed: {row.folder}: {(row.message or 'no message').splitlines()[0]}", markup=False)


def short(value: Any) -> str:
    """A parameter's value, a long fraction with five digits."""
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _one_each(rows: list[Row]) -> list[Row]:
    seen: set[int] = set()
    chosen = []
    for row in rows:
        if row.seeds is None or row.rank not in seen:
            chosen.append(row)
            seen.add(row.rank or 0)
    return chosen
