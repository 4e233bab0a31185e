"""What a page shows of a search: importance, history, slices, parallel coordinates and learning curves."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.checks.search import Space
from src.errors import first_line
from src.reports.leaderboard import Row, short, short_names
from src.reports.pages import charts, svg
from src.reports.pages.model import Figure, Section
from src.runs.folder import RunFolder

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_LINES = 1000  # trials that are drawn one by one
_WIDE = 10  # the largest ratio of two objectives on a linear axis
_OWN_UNIT = "As each run learned it: the levels of runs with other losses or scalings do not compare."
_TOP = 10  # runs whose curves are drawn
_FEW = 10  # whole numbers that stand beside each other, as words do
_PANELS = 12  # parameters that have a slice


def finished(study: "Study", index: int) -> "list[FrozenTrial]":
    """Trials with a finite objective; of very many the best and an even sample."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE" and trial.values]
    trials = [trial for trial in trials if math.isfinite(trial.values[index])]
    if len(trials) <= _LINES:
        return trials
    sign = 1 if study.directions[index].name == "MINIMIZE" else -1
    best = sorted(trials, key=lambda trial: sign * trial.values[index])[: _LINES // 2]
    kept = {trial.number: trial for trial in [*best, *trials[:: max(1, 2 * len(trials) // _LINES)]]}
    return [kept[number] for number in sorted(kept)]


def spaces_of(study: "Study") -> dict[str, Space]:
    """Where each parameter was searched, over all trials."""
    found: dict[str, Space] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, each in trial.distributions.items():
            if name not in found:
                choices = tuple(getattr(each, "choices", ()))
                low, high = getattr(each, "low", 0.0), getattr(each, "high", 0.0)
                found[name] = Space(low, high, bool(getattr(each, "log", False)), choices)
    return found


def importance(study: "Study", index: int, name: str, sign: int) -> Figure:
    """Optuna's importance of each parameter."""
    title = f"Importance for {name}"
    if len({key for trial in study.get_trials(deepcopy=False) for key in trial.params}) < 2:
        return Figure(title, None, "Not drawn: a lone parameter is all there is.")
    from src.adapters.optuna_importance import importances

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that low targets count as good, which the sign sees to
            found = importances(study, lambda trial: sign * trial.values[index])
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return Figure(title, None, f"Not drawn: {first_line(error)}")
    if not any(math.isfinite(value) and value > 0 for value in found.values()):
        return Figure(title, None, "Not drawn: the trials show no difference.")
    names = short_names(list(found))
    bars = charts.bars({names[key]: round(100 * value, 1) for key, value in found.items()}, title, " %")
    return Figure(title, bars, "The share of the differences between good trials and all that each parameter explains.")


def history(trials: "Sequence[FrozenTrial]", index: int, name: str, sign: int) -> Figure:
    """Every trial's objective in their order, and the best so far."""
    values = np.array([trial.values[index] for trial in trials])
    numbers = np.array([float(trial.number) for trial in trials])
    best = sign * np.minimum.accumulate(sign * values)
    x, y = svg.across(numbers), svg.up(values, _is_wide(values))
    marks = [svg.points(x(numbers), y(values), "data")]
    marks.append(svg.line(np.repeat(x(numbers), 2)[1:], np.repeat(y(best), 2)[:-1], "best"))
    said = f"{name} of {len(trials)} trials; the best is {svg.number(float(best[-1]))}"
    drawn = svg.plot(said, x, y, ("trial", name), lambda *_: marks)
    return Figure("History", drawn, keys={"data": "a trial", "best": "best so far"})


def front(trials: "Sequence[FrozenTrial]", names: Sequence[str], rows: Sequence[Row]) -> Figure:
    """Two objectives against each other, with the trials that none beats in all."""
    one, two = (np.array([trial.values[place] for trial in trials]) for place in (0, 1))
    first = {row.number for row in rows if row.rank == 1}
    best = np.array([trial.number in first for trial in trials])
    x, y = svg.across(one, _is_wide(one)), svg.up(two, _is_wide(two))
    marks = [svg.points(x(one[~best]), y(two[~best]), "data"), svg.points(x(one[best]), y(two[best]), "best")]
    said = f"{names[1]} against {names[0]}, {len(trials)} trials, {int(best.sum())} on the Pareto front"
    drawn = svg.plot(said, x, y, (names[0], names[1]), lambda *_: marks)
    return Figure("Pareto front", drawn, keys={"data": "a trial", "best-point": "none is better in all"})


def slices(
    trials: "Sequence[FrozenTrial]", index: int, name: str, sign: int, spaces: Mapping[str, Space]
) -> list[Figure]:
    """The objective by each parameter."""
    names = short_names(list(spaces))
    found = []
    for key in list(spaces)[:_PANELS]:
        having = [trial for trial in trials if key in trial.params]
        values = np.array([trial.values[index] for trial in having])
        params = [trial.params[key] for trial in having]
        if len(having) < 2 or len({str(value) for value in params}) < 2:
            continue
        kinds = _kinds(params, spaces[key])
        places: Any = [short(value) for value in params] if kinds else params
        log = (spaces[key].log, _is_wide(values))
        best = int(np.argmin(sign * values))
        found.append(Figure(names[key], charts.points(places, kinds, values, (names[key], name), log, best)))
    return found


def _kinds(values: Sequence[Any], space: Space) -> list[str]:
    """The words of an axis, numbers among them in their order; [] for numbers that lie between two ends."""
    several = dict.fromkeys(space.choices or values)
    if not _are_numbers(list(several)):
        return list(dict.fromkeys(map(short, several)))
    whole = all(isinstance(value, int) for value in several) and len(several) <= _FEW
    return [short(value) for value in sorted(several)] if space.choices or whole else []


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _is_wide(values: np.ndarray) -> bool:
    """Whether a linear axis would show the worst runs only, as where some nearly diverged."""
    return bool(len(values) and values.min() > 0 and values.max() > _WIDE * values.min())


def parallel(
    trials: "Sequence[FrozenTrial]", index: int, name: str, sign: int, spaces: Mapping[str, Space]
) -> Figure | None:
    """Every trial as a line across its parameters."""
    if len(trials) < 2 or len(spaces) < 2:
        return None
    values = np.array([trial.values[index] for trial in trials])
    order = np.argsort(np.argsort(sign * values, kind="stable"), kind="stable")
    fifths = order * 5 // len(trials)
    fifths[order == 0] = -1
    axes = {}
    for key, space in list(spaces.items())[:_PANELS]:
        params = [trial.params.get(key) for trial in trials]
        there = [value for value in params if value is not None]
        if kinds := _kinds(there, space):
            where = {kind: float(place) for place, kind in enumerate(kinds)}
            places = np.array([math.nan if value is None else where[short(value)] for value in params])
            axes[key] = (charts.vertical_words(kinds), places)
        else:
            places = np.array([math.nan if value is None else float(value) for value in params])
            axes[key] = (charts.vertical(places[np.isfinite(places)].tolist(), space.log), places)
    axes[name] = (charts.vertical(values.tolist(), _is_wide(values)), values)
    keys = {"best": "the best trial", "q0": "best fifth", "q2": "middle fifth", "q4": "worst fifth"}
    return Figure("Parallel coordinates", charts.parallel(axes, fifths), "", keys, wide=True)


def learning(folder: Path, rows: Sequence[Row], name: str) -> list[Figure]:
    """The curves of the first ten runs: of what they are judged by, where it was logged, and of the training loss."""
    tables: dict[str, Mapping[str, list[float]]] = {}
    for row in [row for row in rows if row.rank is not None][:_TOP]:
        try:
            columns = RunFolder(folder / row.folder).read_metrics()
        except (OSError, ValueError):  # one curve less
            continue
        if columns.get("epoch"):
            tables[f"{row.folder}, rank {row.rank}"] = columns
    found: list[Figure] = []
    for shown in dict.fromkeys((name, "val/mse", "train/loss")):
        lines = {said: (columns["epoch"], columns[shown]) for said, columns in tables.items() if shown in columns}
        if lines and len(found) < 2 and (drawn := charts.curves(lines, "epoch", shown)):
            keys = {f"c{place}": said for place, said in enumerate(lines)}
            note = _OWN_UNIT if shown == "train/loss" and len(lines) > 1 else ""
            found.append(Figure(f"{shown} of the first {len(lines)}", drawn, note, keys))
    return found


def sections(study: "Study", rows: Sequence[Row], names: Sequence[str]) -> list[Section]:
    """The chapters of a search, in their order."""
    spaces = spaces_of(study)
    found: list[Section] = []
    for index, name in enumerate(names):
        sign = 1 if study.directions[index].name == "MINIMIZE" else -1
        trials = finished(study, index)
        suffix = f" of {name}" if len(names) > 1 else ""
        place = f"-{index + 1}" if index else ""
        if len(trials) < 2:
            found.append(
                Section(f"search{place}", f"Search{suffix}", "Not drawn: fewer than two trials have a result.")
            )
            continue
        figures = [importance(study, index, name, sign), history(trials, index, name, sign)]
        if len(names) > 1 and not index:
            figures.append(front(trials, names, rows))
        found.append(Section(f"importance{place}", f"Importance{suffix}", "", figures))
        if panels := slices(trials, index, name, sign, spaces):
            lead = f"{name} of each trial by each parameter; the best trial is marked."
            found.append(Section(f"slices{place}", f"Slices{suffix}", lead, panels))
        if drawn := parallel(trials, index, name, sign, spaces):
            found.append(Section(f"parallel{place}", f"Parallel coordinates{suffix}", "", [drawn]))
    return found


def learning_section(folder: Path, rows: Sequence[Row], name: str) -> list[Section]:
    """The chapter of learning curves; none where nothing was logged."""
    figures = learning(folder, rows, name)
    lead = "Run and rank stand below; pointing at one lights its curve." if figures and len(figures[0].keys) > 1 else ""
    return [Section("curves", "Learning curves", lead, figures)] if figures else []
