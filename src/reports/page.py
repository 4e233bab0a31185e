"""report.html of a sweep or of several runs: one page that needs no other file and no network."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.checks import search as search_checks
from src.checks.codes import Finding, fired
from src.checks.training import no_better, split_rows
from src.data.table import listed
from src.reports.leaderboard import BASELINE, Row, short, table
from src.reports.pages import search
from src.reports.pages.model import Grid, Page, Section, Tile
from src.reports.pages.render import render
from src.reports.pages.run_section import run_section
from src.reports.pages.subject import Judged, Opener, config_text
from src.reports.pages.svg import number
from src.reports.sweep_folder import asked
from src.runs.folder import RunFolder
from src.runs.summary_file import summary_or_nothing
from src.training.task import METRICS, figure_names, larger_is_better, metric_in

if TYPE_CHECKING:
    from optuna.study import Study

_ROWS = 1000  # of the leaderboard on the page; the CSV has all
_SECTIONS = 3  # runs that have a chapter of their own
_MANY = 10  # runs of which the median says something


def page(
    title: str,
    study: "Study | None",
    rows: Sequence[Row],
    names: list[str],
    commands: Mapping[str, str],
    remarks: Sequence[str] = (),
    folder: Path | None = None,
    ignore: Collection[str] = (),
    trust: Collection[str] = (),
) -> str:
    """The page.

    Args:
        title: of the sweep.
        study: None where runs are compared that no search has in common.
        rows: ranked.
        names: of the objectives.
        commands: what to do next, by what it does.
        remarks: what the ranks are worth.
        folder: that the rows' folders lie in; None: nothing is read, and no run has a chapter.
        ignore: codes of checks that are not told.
        trust: packages of the user's own whose nets a run may name.
    """
    best = next((row for row in rows if row.rank == 1), None)
    opened = RunFolder(folder / best.folder) if folder and best else None
    summary = (summary_or_nothing(opened.summary) if opened else {}) | _baselines(rows)
    sections = search.sections(study, rows, names) if study else []
    runs, answers, judged = _chapters(folder, rows, trust) if folder else ([], {}, None)
    if folder:
        sections += search.learning_section(folder, rows, names[0])
    answers |= sweep_answers(study, rows, names, summary)
    return render(
        Page(
            title=title,
            kind="sweep" if study else "comparison",
            asked=asked(folder) if folder and study else "",
            about=_about(rows, names, summary),
            tiles=_tiles(rows, names, summary, judged),
            remarks=remarks,
            findings=fired(answers, ignore),
            board=board(rows, names),
            sections=sections,
            runs=runs,
            commands=commands,
            config=config_text(opened) if opened else "",
            environment=summary.get("environment") or {},
        )
    )


def sweep_findings(
    study: "Study | None",
    rows: Sequence[Row],
    names: Sequence[str],
    summary: Mapping[str, Any],
    ignore: Collection[str],
) -> list[Finding]:
    """The findings that a terminal shows at the end of a sweep."""
    return fired(sweep_answers(study, rows, names, summary), ignore)


def sweep_answers(
    study: "Study | None", rows: Sequence[Row], names: Sequence[str], summary: Mapping[str, Any]
) -> dict[str, str | None]:
    """P03, P04 and P06 of a leaderboard; ``summary`` is of its first run."""
    done = [row for row in rows if row.rank is not None]
    if not done or len(names) > 1:
        return {}
    split = names[0].partition("/")[0]
    ranks = {row.rank: row.values[0] if row.average is None else row.average for row in done}
    judging = split_rows(summary).get(split, 0)
    against = (_baselines(rows) or summary).get("baselines") or {}
    return {
        "P03": no_better(summary.get("metrics") or {}, against),
        "P04": search_checks.at_edge(done[0].params, search.spaces_of(study), len(done)) if study else None,
        "P06": search_checks.too_few(names[0], list(ranks.values()), judging),
    }


def _baselines(rows: Sequence[Row]) -> dict[str, Any]:
    """What the best run is held against where the leaderboard has it, as summary.json has it; else {}."""
    found = {str(row.message).partition(",")[0]: row.metrics for row in rows if row.status == BASELINE}
    return {"baselines": found} if found else {}


def board(rows: Sequence[Row], names: Sequence[str]) -> Grid:
    """The leaderboard; figures other than the objectives are shown when they are chosen."""
    cells = table(rows[:_ROWS]).map(short)
    first = ["objective", *(f"objective {name}" for name in names)]
    figures = {name for name in cells.columns if metric_in(name) in METRICS and name not in first}
    empty = {name for name in cells.columns if not any(cells[name])}
    more = f", {len(rows) - _ROWS} more in leaderboard.csv" if len(rows) > _ROWS else ""
    heads = [f"{name} ({names[0]})" if name == "objective" else str(name) for name in cells.columns]
    return Grid(f"Leaderboard{more}", heads, cells.to_numpy().tolist(), frozenset(figures | empty))


def _about(rows: Sequence[Row], names: Sequence[str], summary: Mapping[str, Any]) -> list[str]:
    counts = Counter(row.status for row in rows if row.status != BASELINE)
    said = ", ".join(f"{count:,} {status}" for status, count in counts.items())
    ways = ", ".join(f"{name} ({'more' if larger_is_better(name) else 'less'} is better)" for name in names)
    return [*about_data(summary), f"{sum(counts.values()):,} runs: {said}. Ranked by {ways}."]


def about_data(summary: Mapping[str, Any]) -> list[str]:
    """A sentence on the rows that a run learned from."""
    data = summary.get("data") or {}
    if not data:
        return []
    splits = ", ".join(f"{count:,} {name}" for name, count in (data.get("splits") or {}).items())
    features = data.get("features") or []
    names = ", ".join(map(str, features[:6])) + (f" and {len(features) - 6} more" if len(features) > 6 else "")
    hash_ = str(data.get("sha256", ""))[:12]
    return [
        f"{data.get('source')}: {listed(data.get('target'))} from {names}. {data.get('rows', 0):,} rows ({splits}), "
        f"SHA-256 {hash_}…"
    ]


def _tiles(rows: Sequence[Row], names: Sequence[str], summary: Mapping[str, Any], judged: Judged | None) -> list[Tile]:
    best = next((row for row in rows if row.rank == 1), None)
    if best is None:
        return [Tile("Best", "none yet", "no run has a result")]
    if best.average is not None:
        note = f"± {number(best.spread or 0)} over {best.seeds} seeds; run {best.folder}"
        tiles = [Tile(f"Best {names[0]}", number(best.average), note)]
    else:
        tiles = [
            Tile(f"Best {name}", number(value), interval_note(name, judged) or f"run {best.folder}")
            for name, value in zip(names, best.values, strict=False)
        ]
    tiles.append(Tile("Best run", best.folder, best.status))
    ranks = [row for row in rows if row.rank is not None]
    values = sorted(row.values[0] for row in ranks)
    if len(values) >= _MANY and len(names) == 1:
        tiles.append(Tile("Median of all", number(values[len(values) // 2]), f"{len(values):,} runs with a result"))
    tiles += against_tiles(summary)
    seconds = sum(row.seconds for row in rows if row.seconds and math.isfinite(row.seconds))
    return [*tiles, Tile("Time", f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2g} s", "of all runs, summed")]


def interval_note(name: str, judged: Judged | None) -> str:
    """Where a figure may lie, had other rows like these judged it; empty where these are not at hand."""
    split, _, metric = name.partition("/")
    if judged is None or judged.split != split or metric not in figure_names(judged.targets) or len(judged.rows) < 2:
        return ""
    from src.reports.uncertainty import LEVEL, interval

    some = slice(None, None, max(1, len(judged.rows) // 2000))
    weights = None if judged.weights is None else judged.weights[some]
    low, high = interval(judged.residual[some].T, judged.target[some].T, metric, weights, judged.targets)
    return f"{LEVEL:.0%} interval {number(low)} to {number(high)}, of {len(judged.rows):,} rows"


def against_tiles(summary: Mapping[str, Any]) -> list[Tile]:
    """A run's error beside that of the best baseline, on held-back rows, or else beside the mean and least squares."""
    metrics, baselines = summary.get("metrics") or {}, summary.get("baselines") or {}
    for split in ("test", "oof", "val", "train"):
        own, r2 = metrics.get(f"{split}/rmse"), metrics.get(f"{split}/r2")
        if own is None:
            continue
        found = {name: value for name, each in baselines.items() if (value := each.get(f"{split}/rmse")) is not None}
        tiles = []
        if found:
            best = min(found, key=lambda name: found[name])
            said = f"{number(own)} against {number(found[best])} on {split} rows"
            tiles.append(Tile(f"Error against {best}", f"{own / found[best]:.3g} ×" if found[best] else "–", said))
        elif split == "train" and (summary.get("reference") or {}).get("mse"):
            known = summary["reference"]["mse"] ** 0.5
            said = f"{number(own)} against {number(known)} on training rows"
            tiles.append(Tile("Error against least squares", f"{own / known:.3g} ×", said))
        if r2 is not None:
            tiles.append(Tile("Variance explained", f"{r2:.1%}", f"of {split} rows; their mean explains none"))
        return tiles
    return []


def _chapters(
    folder: Path, rows: Sequence[Row], trust: Collection[str]
) -> tuple[list[Section], dict[str, str | None], Judged | None]:
    """A chapter for each of the first runs, and what the first one's rows answered and came to."""
    opener, chapters = Opener(trust), []
    answers: dict[str, str | None] = {}
    judged = None
    for place, row in enumerate([row for row in rows if row.rank is not None][:_SECTIONS]):
        run = RunFolder(folder / row.folder)
        changed = ", ".join(f"{key}={short(value)}" for key, value in row.params.items())
        objectives = ", ".join(f"{name} {value:.6g}" for name, value in zip(row.names, row.values, strict=False))
        lead = ". ".join(part for part in (objectives, changed) if part)
        chapter, found, rows_ = run_section(
            run, summary_or_nothing(run.summary), opener, f"run-{place + 1}", f"Run {row.folder}, rank {row.rank}", lead
        )
        chapters.append(chapter)
        if not place:
            answers, judged = found, rows_
    return chapters, answers, judged
