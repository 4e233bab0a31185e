"""Pictures of rows and what was predicted for them: the fit, and what it leaves over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.canvas import (
    COLORS,
    LINE,
    MARK,
    MARKERS,
    REFERENCE,
    as_text,
    canvas,
    finish,
    legend_above,
    robust_limits,
    shorten,
)

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features) to predictions (rows,)

POINTS = 2000  # more points than a picture can show apart
_BARS = 150  # more intervals than a picture can show apart
_WORST = 10
_TARGETS = 6  # panels beside each other


@dataclass(frozen=True)
class Rows:
    """Rows of a split.

    Args:
        name: of the split.
        numbers: (rows,) which rows of the table they are, counted from 0.
        features: (rows, features), raw.
        target, prediction: (rows,).
        whole: how many rows the split has, of which these are some.
        low, high: (rows,) between which the target should lie; None where nothing is known of that.
    """

    name: str
    numbers: np.ndarray
    features: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    whole: int
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Fit:
    """What a model made of a target of its table.

    Args:
        title: model, data and errors.
        feature_names, target_name: of the table.
        splits: the rows, no more than can be shown.
        predict: from raw features.
        reference: the least-squares line of one feature, where there is one.
        along: whether they lie along one feature, a number, so that the fit can be drawn as a line.
        band: the ends (rows, 2) of an interval for raw features, and ...
        interval: ... what it is, as in ``90 % interval``.
    """

    title: str
    feature_names: Sequence[str]
    target_name: str
    splits: Sequence[Rows]
    predict: Predict
    along: bool
    reference: Predict | None = None
    band: Predict | None = None
    interval: str = ""


@as_text
def fit(fits: Sequence[Fit]) -> Figure:
    """The fitted line or curve over the points of every split; predicted against actual for several features.

    A panel for each target, the first ones of many.
    """
    fits = _first(fits)
    figure, panels = canvas(6.4 * len(fits), 4.4, len(fits))
    for axes, found in zip(panels, fits, strict=True):
        target = shorten(found.target_name)
        if found.along:
            _line(axes, found)
            axes.set(xlabel=shorten(found.feature_names[0]), ylabel=target)
        else:
            _against(axes, found)
            axes.set(xlabel=f"{target}, actual", ylabel=f"{target}, predicted")
        legend_above(axes, found.title, 1 / len(fits))
    return finish(figure, panels)


def _first(fits: Sequence[Fit]) -> Sequence[Fit]:
    """No more than can stand beside each other, and that these are not all."""
    said = f": the first {_TARGETS} of {len(fits)} targets" if len(fits) > _TARGETS else ""
    return [replace(found, title=found.title.replace("\n", f"{said}\n", 1)) for found in fits[:_TARGETS]]


def _line(axes: Axes, found: Fit) -> None:
    values = np.concatenate([rows.features[:, 0] for rows in found.splits])
    grid = np.linspace(np.nanmin(values), np.nanmax(values), 200, dtype=found.splits[0].features.dtype)[:, None]
    _scatter(axes, found.splits, lambda rows: (rows.features[:, 0], rows.target))
    if found.band is not None:
        low, high = found.band(grid).T
        axes.fill_between(grid[:, 0], low, high, color=LINE, alpha=0.2, lw=0, zorder=2.5, gid=found.interval)
    if found.reference is not None:
        axes.plot(grid, found.reference(grid), "--", color=REFERENCE, gid="least squares")
    axes.plot(grid, found.predict(grid), color=LINE, lw=2, gid="fitted")


def _against(axes: Axes, found: Fit) -> None:
    _scatter(axes, found.splits, lambda rows: (rows.target, rows.prediction))
    ends = robust_limits(np.concatenate([[*rows.target, *rows.prediction] for rows in found.splits]), 0.02)
    axes.plot(ends, ends, color=LINE, gid="predicted = actual")
    last = found.splits[-1]  # bars of every split would hide each other
    if last.low is not None and last.high is not None:
        some = slice(None, None, -(-len(last.target) // _BARS))
        axes.vlines(
            last.target[some], last.low[some], last.high[some], color=COLORS[last.name], alpha=0.35, lw=1,
            gid=f"{found.interval}, {last.name}",
        )  # fmt: skip


@as_text
def residuals(fits: Sequence[Fit]) -> Figure:
    """What is left over: against the prediction with the worst rows named, and how it is distributed.

    Two panels for each target, the first ones of many.
    """
    fits = _first(fits)
    figure, panels = canvas(8.4 * len(fits), 4.2, 2 * len(fits))
    for axes, beside, found in zip(panels[::2], panels[1::2], fits, strict=True):
        _residuals(axes, beside, found, 1 / len(fits))
    return finish(figure, panels, [3, 1] * len(fits))


def _residuals(axes: Axes, beside: Axes, found: Fit, share: float) -> None:
    left = {rows.name: rows.target - rows.prediction for rows in found.splits}
    every = np.concatenate(list(left.values()))
    for panel in (axes, beside):
        panel.set_ylim(robust_limits(every))
        panel.axhline(0, color=LINE)
    _scatter(axes, found.splits, lambda rows: (rows.prediction, rows.target - rows.prediction))
    _name_worst(axes, found.splits)
    axes.set(xlabel=f"{shorten(found.target_name)}, predicted", ylabel="actual - predicted")
    legend_above(axes, found.title, share)
    edges = np.histogram_bin_edges(every, min(40, 8 + len(every) // 10)).tolist()
    for name, values in left.items():
        parts = np.full(len(values), 1 / len(values))
        options: Any = {"weights": parts, "histtype": "step", "orientation": "horizontal", "lw": 1.5}
        beside.hist(values, edges, color=COLORS[name], **options)
    beside.yaxis.set_visible(False)  # its neighbour's
    beside.set(xlabel="share of rows")


def worst(splits: Sequence[Rows], most: int = _WORST) -> list[tuple[Rows, int]]:
    """The rows with the largest errors, the largest first: of which split, and their place in it."""
    found = [(rows, place) for rows in splits for place in range(len(rows.target))]
    errors = np.abs(np.concatenate([rows.target - rows.prediction for rows in splits]))
    return [found[place] for place in np.argsort(-errors, kind="stable")[:most]]


def _name_worst(axes: Axes, splits: Sequence[Rows]) -> None:
    marked = worst(splits)
    x = [rows.prediction[place] for rows, place in marked]
    y = [rows.target[place] - rows.prediction[place] for rows, place in marked]
    name = f"the {len(marked)} worst of them, by row from 0"
    axes.scatter(x, y, s=52, facecolors="none", edgecolors=MARK, lw=0.8, gid=name)
    for (rows, place), left, up in zip(marked, x, y, strict=True):
        axes.annotate(str(rows.numbers[place]), (left, up), (5, 3), textcoords="offset points", fontsize=7, color=MARK)


def _scatter(axes: Axes, splits: Sequence[Rows], place: Callable[[Rows], tuple[np.ndarray, np.ndarray]]) -> None:
    shown = sum(len(rows.target) for rows in splits)
    for rows in splits:
        size, alpha = (22, 0.9) if shown < 200 else (14, 0.75) if shown < 1000 else (9, 0.6)
        some = "" if rows.whole == len(rows.target) else f", {len(rows.target)} of {rows.whole} rows"
        look: Any = {"color": COLORS[rows.name], "marker": MARKERS[rows.name], "s": size, "alpha": alpha, "lw": 0}
        axes.scatter(*place(rows), gid=f"{rows.name}{some}", **look)
