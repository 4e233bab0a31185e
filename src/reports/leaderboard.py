"""The runs of a sweep, best first: plain rows in; ranked rows, leaderboard.csv and a terminal table out."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from src.runs.status import FAILED, has_result, place

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10  # rows on the terminal
BASELINE = "baseline"  # the status of what is no run


@dataclass
class Row:
    """A run. ``rank`` is 1 for the best and None for one without: pruned, diverged, failed, at work.

    ``values`` are the objectives. ``seeds``, ``average`` and ``spread`` describe the runs that differ from
    this one only by their seed; ``spread`` is the sample's standard deviation. ``seed``, ``source`` (SHA-256) and
    ``splits`` (numbers of rows) say which rows judged it, ``folds`` has its objective on each fold.
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
    seed: int | None = None
    source: str = ""
    splits: dict[str, int] = field(default_factory=dict)
    folds: list[float] = field(default_factory=list)


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
    """
    signs = [1 if direction == "minimize" else -1 for direction in directions]

    def cost(row: Row) -> list[float]:
        return [sign * value for sign, value in zip(signs, row.values, strict=False)] or [math.inf]

    done = [row for row in rows if has_result(row.status) and row.values and all(map(math.isfinite, row.values))]
    if len(signs) > 1:
        _rank_fronts(done, [cost(row) for row in done])
    else:
        _rank_seeds(done, signs[0])

    def order(row: Row) -> tuple[Any, ...]:
        return row.rank or math.inf, place(row.status) if row.rank is None else 0, cost(row), row.number

    return sorted(rows, key=order)


def _rank_seeds(rows: list[Row], sign: int) -> None:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        others = {key: value for key, value in row.params.items() if key != "seed"}
        groups.setdefault(str(others) if "seed" in row.params else row.folder, []).append(row)
    means = {key: mean(row.values[0] for row in group) for key, group in groups.items()}
    for rank, key in enumerate(sorted(groups, key=lambda key: (sign * means[key], groups[key][0].number)), start=1):
        group = groups[key]
        spread = stdev(row.values[0] for row in group) if len(group) > 1 else None
        for row in group:
            row.rank = rank
            if spread is not None:
                row.seeds, row.average, row.spread = len(group), means[key], spread


def _rank_fronts(rows: list[Row], costs: list[list[float]]) -> None:
    import numpy as np

    table = np.array(costs).reshape(len(rows), -1)
    for row, cost in zip(rows, table, strict=True):
        row.rank = 1 + int(((table <= cost).all(axis=1) & (table < cost).any(axis=1)).sum())


def names_of(rows: Sequence[Row]) -> list[str]:
    """The names of the objectives."""
    return next((row.names for row in rows if row.names), ["objective"])


def table(rows: Sequence[Row]) -> "pd.DataFrame":
    """leaderboard.csv: a line for each run; what a run has not is missing."""
    import pandas as pd

    names = names_of(rows)
    objective = ["objective"] if len(names) == 1 else [f"objective {name}" for name in names]
    seeds = ["seeds", "mean", "std"] if any(row.seeds for row in rows) else []
    parts = [
        pd.DataFrame([[row.rank] for row in rows], columns=["rank"], dtype=object),
        pd.DataFrame([dict(zip(objective, row.values, strict=False)) for row in rows], columns=objective, dtype=object),
        pd.DataFrame([[row.seeds, row.average, row.spread][: len(seeds)] for row in rows], columns=seeds, dtype=object),
        pd.DataFrame([row.metrics for row in rows], dtype=object),
        pd.DataFrame([row.params for row in rows], dtype=object),
        pd.DataFrame([[get(row) for get in COLUMNS.values()] for row in rows], columns=list(COLUMNS), dtype=object),
    ]
    return pd.concat(parts, axis=1)


def print_table(rows: Sequence[Row], title: str, baselines: Sequence[Row] = ()) -> None:
    """The best rows, one for each group of seeds, in 80 columns or the terminal's, and what became of the others.

    Below them, what they are held against.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from src.adapters.rich_console import Console

    console = Console(highlight=False, markup=False)
    objectives = names_of(rows)
    best: list[Row] = []
    for row in rows:
        if row.rank is not None and not (row.seeds and best and best[-1].rank == row.rank):
            best.append(row)
    chosen = (best or rows)[:SHOWN]
    keys = short_names(list(dict.fromkeys(key for row in chosen for key in row.params)))
    changed = [
        [f"{keys[k]}={short(v).replace(', ', ',')}" for k, v in row.params.items() if not (row.seeds and k == "seed")]
        for row in chosen
    ]
    longest = max((len(word) for words in changed for word in words), default=0)  # a number is never cut in two
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("rank", *objectives, "status", "seconds", "run"):
        table.add_column(Text(name), justify="left" if name in ("status", "run") else "right", no_wrap=True)
    table.add_column("changed", min_width=longest)
    for row, words in zip(chosen, changed, strict=True):
        values = [f"{value:.6g}" for value in row.values] or [""] * len(objectives)
        if row.seeds:
            values = [f"{row.average:.6g} ± {row.spread:.2g} ({row.seeds} seeds)"]
        seconds = "" if row.seconds is None else f"{row.seconds:.2f}"
        table.add_row(*map(Text, (short(row.rank), *values, row.status, seconds, row.folder, " ".join(words))))
    table.add_section()
    for row in baselines:
        values = [f"{value:.6g}" for value in row.values] or [""] * len(objectives)
        table.add_row("", *map(Text, (*values, row.status, "", "", (row.message or "").partition(",")[0])))
    console.print(table)
    if legend := ", ".join(f"{name}: {key}" for key, name in keys.items() if key != name):
        console.print(legend)
    counts = Counter(row.status for row in rows)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    console.print(f"{len(rows)} runs: {said}")
    for row in [row for row in rows if row.status == FAILED][:3]:
        console.print(f"failed: {row.folder}: {(row.message or 'no message').splitlines()[0]}", soft_wrap=True)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """For each dotted key as many of its last words as tell it from the others."""

    def ends(key: str) -> list[str]:
        parts = key.split(".")
        return [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]

    taken = Counter(end for key in keys for end in ends(key))
    return {key: next((end for end in ends(key) if taken[end] == 1), key) for key in keys}


def short(value: Any) -> str:
    """A cell: a long fraction has five digits, and what is missing is empty."""
    if value is None or value != value:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
