"""A run's figures over its epochs: a metric a panel, in one unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.canvas import (
    COLORS,
    LINE,
    MARK,
    REFERENCE,
    SERIES,
    as_text,
    canvas,
    finish,
    legend,
    number,
    robust_limits,
    shorten,
)

Columns = Mapping[str, Sequence[float]]

_NOISY = 0.04  # a curve that bends by such a share of its range from epoch to epoch is shown smoothed as well
_SMOOTH = 30  # parts of a curve over which it is smoothed


@dataclass(frozen=True)
class Panel:
    """One metric.

    Args:
        title: the metric and its unit.
        curves: by the split's name (epochs,), nan where a figure was not due.
        log: whether its axis is logarithmic where all is above 0.
        level: a value to be reached, and ...
        named: ... what it is.
    """

    title: str
    curves: Mapping[str, np.ndarray]
    log: bool = False
    level: float | None = None
    named: str = ""


@dataclass(frozen=True)
class Course:
    """How a training went.

    Args:
        title: model and data.
        columns: metrics.csv.
        unit: of the target, or what a figure of several is in.
        loss: a name for what was trained, and ...
        metric: ... which metric that is in the target's unit, where it is one, ...
        factor: ... once it is multiplied by this.
        shown: the validation figure to show, as ``val/mse``.
        best: the best epoch, where one was looked for.
        ended: why it ended before its time.
        reference: slope and intercept of least squares, by name.
    """

    title: str
    columns: Columns
    unit: str
    loss: str
    metric: str | None
    factor: float
    shown: str
    best: int | None = None
    ended: str | None = None
    reference: Mapping[str, float] | None = None


def panels(course: Course) -> list[Panel]:
    """What there is to show: train and validation together where they have one unit, else a panel each."""
    columns = {name: np.asarray(values, float) for name, values in course.columns.items()}
    unit, shown, metric = shorten(course.unit, 24), course.shown.partition("/")[2], course.metric
    models = {name: values for name, values in columns.items() if name.startswith("model ")}
    if models:
        return [Panel(f"{_titled(shown, unit)}, {course.shown.partition('/')[0]}", models, log=_log(shown))]
    found = [Panel(f"{course.loss}, as trained", {"train": columns["train/loss"]}, log=True)]
    if metric is not None:
        with np.errstate(over="ignore"):
            both = {"train": columns["train/loss"] * course.factor}
        both |= {"val": columns[f"val/{metric}"]} if f"val/{metric}" in columns else {}
        found = [Panel(_titled(metric, unit), both, log=True)]
    if course.shown in columns and shown != metric:
        found.append(Panel(_titled(shown, unit), {"val": columns[course.shown]}, log=_log(shown)))
    each = {name.removeprefix("val/r2/"): values for name, values in columns.items() if name.startswith("val/r2/")}
    if each:
        found.append(Panel("r2 of each target, val", dict(list(each.items())[: len(SERIES)])))
    for name in ("slope", "intercept"):
        if name in columns:
            known = (course.reference or {}).get(name)
            found.append(Panel(name, {"": columns[name]}, level=known, named="least squares"))
    return found


def _titled(metric: str, unit: str) -> str:
    """A metric, or METRIC/TARGET, with its unit."""
    name = metric.partition("/")[0]
    return metric.replace("/", " of ", 1) if name == "r2" else f"{name}, {unit}{'²' * (name == 'mse')}"


def _log(metric: str) -> bool:
    return metric.partition("/")[0] != "r2"


@as_text
def curves(course: Course) -> Figure:
    """A panel for each metric over epochs, with the best epoch and an early end marked."""
    shown = panels(course)
    figure, places = canvas(1.4 + 3.2 * len(shown), 3.5, len(shown))
    epochs = np.asarray(course.columns["epoch"], float)
    for axes, panel in zip(places, shown, strict=True):
        own = SERIES if len(panel.curves) > 1 else (LINE,)
        pairs = zip(panel.curves.items(), cycle(own), strict=False)
        drawn = [_curve(axes, epochs, values, name, COLORS.get(name, color)) for (name, values), color in pairs]
        every = np.concatenate([each[np.isfinite(each)] for each in drawn]) if drawn else np.empty(0)
        if panel.level is not None:
            axes.axhline(panel.level, ls="--", color=REFERENCE, gid=f"{panel.named}: {number(panel.level)}")
        _limit(axes, every, panel)
        _mark(axes, course, epochs)
        axes.set_title(panel.title, loc="left", fontsize=10)
        axes.set(xlabel="epoch")
        legend(axes, fontsize=8, loc=_corner(axes, drawn))
    places[0].set_title(f"{course.title}\n{shown[0].title}", loc="left", fontsize=10)
    return finish(figure, places)


def _curve(axes: Axes, epochs: np.ndarray, values: np.ndarray, name: str, color: str) -> np.ndarray:
    """Draws a curve, smoothed where it is noisy; returns what has to be seen of it."""
    there = np.isfinite(values)
    x, y = epochs[there], values[there]
    smooth = smoothed(y)
    if smooth is None:
        axes.plot(x, y, color=color, marker="." if len(x) < 2 else None, gid=name or None)
        return y
    axes.plot(x, y, color=color, alpha=0.3, lw=0.8)
    axes.plot(x, smooth, color=color, gid=f"{name}, smoothed".strip(", "))
    return y


def smoothed(values: np.ndarray) -> np.ndarray | None:
    """A noisy curve's mean over its neighbourhood, (points,); None of one that is not noisy."""
    if len(values) < _SMOOTH:
        return None
    seen = np.log10(values) if values.min() > 0 else values
    if not np.median(np.abs(np.diff(seen, 2))) > _NOISY * np.ptp(seen):
        return None
    half = max(1, len(values) // _SMOOTH // 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return np.asarray((total[high] - total[low]) / (high - low))


def _limit(axes: Axes, values: np.ndarray, panel: Panel) -> None:
    if not len(values):
        return
    if panel.log and values.min() > 0:
        axes.set_yscale("log")
        low, high = np.log10(values.min()), np.log10(values.max())
        room = max(0.05 * (high - low), 0.01)
        axes.set_ylim(10 ** (low - room), 10 ** (high + room))
    else:
        axes.set_ylim(robust_limits(np.append(values, [] if panel.level is None else panel.level)))


def _corner(axes: Axes, drawn: Sequence[np.ndarray]) -> str:
    """Where a legend covers least: on the right, away from where the curves end. To search for that takes longer."""
    ends = [values[-1] for values in drawn if len(values)]
    if not ends:
        return "upper right"
    _, high = axes.transAxes.inverted().transform(axes.transData.transform((0.0, max(ends))))
    _, low = axes.transAxes.inverted().transform(axes.transData.transform((0.0, min(ends))))
    return "upper right" if high + low < 1 else "lower right"


def _mark(axes: Axes, course: Course, epochs: np.ndarray) -> None:
    if course.best:
        axes.axvline(course.best, ls=":", color=MARK, lw=1.2, gid=f"best epoch: {course.best}")
    if course.ended:
        axes.axvline(epochs[-1], ls="-.", color=REFERENCE, lw=1.2, gid=f"{course.ended}: {int(epochs[-1])}")
