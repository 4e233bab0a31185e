"""Charts of arrays: curves, points, bars and parallel coordinates, as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from src.reports.pages import svg
from src.reports.pages.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, across, number, up

Curve = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]  # places and values

_POINTS = 240  # of a curve: more than a picture has room for
_ROW, _LABEL = 24, 136  # a bar's height with its space, and the room for its name
_STEP = 118  # between two parallel axes
_MANY = 200  # trials whose lines are drawn fainter


def curves(lines: Mapping[str, Curve], x_name: str, y_name: str, kinds: Sequence[str] = ()) -> Markup | None:
    """Lines by name, the first on top; a logarithmic axis where their values span more than ten times.

    Args:
        lines: x and y (n,) each.
        x_name, y_name: of the axes.
        kinds: classes of the lines; else c0, c1, …
    """
    drawn = {name: _thinned(*pair) for name, pair in lines.items()}
    drawn = {name: pair for name, pair in drawn.items() if len(pair[0])}
    if not drawn:
        return None
    every = np.concatenate([y for _, y in drawn.values()])
    classes = list(kinds) or [f"c{place}" for place in range(len(lines))]
    kind = dict(zip(lines, classes, strict=True))
    x = across(np.concatenate([x for x, _ in drawn.values()]))
    y = up(every, log=bool(every.min() > 0 and every.max() > 10 * every.min()))
    said = f"{y_name} by {x_name}: " + "; ".join(f"{name} ends at {number(v[-1])}" for name, (_, v) in drawn.items())
    marks = [svg.line(x(a), y(b), kind[name]) for name, (a, b) in reversed(drawn.items())]
    return svg.plot(said, x, y, (x_name, y_name), lambda *_: marks)


def _thinned(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is finite, and of many points an even share with the last."""
    a, b = np.asarray(x, float), np.asarray(y, float)
    there = np.isfinite(a) & np.isfinite(b) & (np.abs(b) < 1e12)
    a, b = a[there], b[there]
    if len(a) > _POINTS:
        chosen = np.unique(np.linspace(0, len(a) - 1, _POINTS).astype(int))
        return a[chosen], b[chosen]
    return a, b


def fit(feature: np.ndarray, target: np.ndarray, lines: Mapping[str, Curve], names: tuple[str, str]) -> Markup:
    """Rows (rows,) of one feature, and lines over it by their class."""
    every = np.concatenate([target, *(np.asarray(y) for _, y in lines.values())])
    x, y = across(feature), up(every[np.isfinite(every)])
    marks = [svg.points(x(feature), y(target), "data")]
    marks += [svg.line(x(a), y(b), kind) for kind, (a, b) in lines.items()]
    said = f"{names[1]} by {names[0]}: {len(target)} rows and the fitted line"
    return svg.plot(said, x, y, names, lambda *_: marks)


def against(target: np.ndarray, prediction: np.ndarray, name: str, worst: np.ndarray) -> Markup:
    """Predicted against true (rows,), on equal scales; ``worst`` are places of rows to mark."""
    both = np.concatenate([target, prediction])
    x, y = across(both), up(both)
    ends = np.array([x.low, x.high])
    others = np.setdiff1d(np.arange(len(target)), worst)
    marks = [
        svg.line(x(ends), y(ends), "ideal"),
        svg.points(x(target[others]), y(prediction[others]), "data"),
        svg.points(x(target[worst]), y(prediction[worst]), "worst"),
    ]
    said = f"{name}: predicted against true of {len(target)} rows; on the line both are equal"
    return svg.plot(said, x, y, (f"{name}, true", f"{name}, predicted"), lambda *_: marks)


def residuals(prediction: np.ndarray, residual: np.ndarray, name: str, worst: np.ndarray) -> Markup:
    """True less predicted against predicted (rows,)."""
    x, y = across(prediction), up([*residual, 0.0])
    others = np.setdiff1d(np.arange(len(residual)), worst)
    marks = [
        svg.line(np.array([x.start, x.end]), y([0, 0]), "ideal"),
        svg.points(x(prediction[others]), y(residual[others]), "data"),
        svg.points(x(prediction[worst]), y(residual[worst]), "worst"),
    ]
    said = f"Residuals of {len(residual)} rows from {number(residual.min())} to {number(residual.max())}"
    return svg.plot(said, x, y, (f"{name}, predicted", "true − predicted"), lambda *_: marks)


def spread(residual: np.ndarray, name: str) -> Markup:
    """How often residuals (rows,) of each size are: a histogram by the rule of Freedman and Diaconis (1981)."""
    counts, edges = np.histogram(residual, bins=min(40, len(np.histogram_bin_edges(residual, "fd")) - 1 or 1))
    x, y = across(edges, log=False), svg.scale([0, *counts], HEIGHT - BOTTOM, TOP, pad=0)
    left, right, top = x(edges[:-1]), x(edges[1:]), y(counts)
    floor = HEIGHT - BOTTOM
    bars = [
        f'<path class="bar" d="M{a:.1f} {floor}V{t:.1f}H{max(b - 1, a):.1f}V{floor}z"/>'
        for a, b, t in zip(left, right, top, strict=True)
    ]
    said = f"How often residuals of {name} are of each size, {len(residual)} rows"
    return svg.plot(said, x, y, ("true − predicted", "rows"), lambda *_: bars)


def bars(values: Mapping[str, float], said: str, unit: str = "", spreads: Mapping[str, float] | None = None) -> Markup:
    """A bar for each name, its value beside it; ``spreads`` are drawn as whiskers."""
    height = _ROW * len(values) + 8
    spreads = spreads or {}
    most = max((value + spreads.get(name, 0) for name, value in values.items()), default=1) or 1
    x = Scale(0, max(most, 1e-12), _LABEL, WIDTH - 62)
    parts = []
    for place, (name, value) in enumerate(values.items()):
        top, end = 4 + place * _ROW, float(x([max(value, 0)])[0])
        parts.append(f'<text class="name end" x="{_LABEL - 8}" y="{top + 15}">{escape(svg.cut(name, 18))}</text>')
        parts.append(f'<path class="bar" d="M{_LABEL} {top + 3}H{max(end, _LABEL + 1):.1f}v{_ROW - 8}H{_LABEL}z"/>')
        if spread := spreads.get(name):
            low, high = x([value - spread, value + spread])
            parts.append(f'<path class="whisker" d="M{low:.1f} {top + 11}H{high:.1f}"/>')
            end = max(end, float(high))
        parts.append(f'<text class="tick" x="{end + 6:.1f}" y="{top + 15}">{escape(number(value) + unit)}</text>')
    listed = ", ".join(f"{name} {number(value)}{unit}" for name, value in values.items())
    return svg.picture(f"{said}: {listed}", parts, WIDTH, height)


def points(
    x_values: Sequence[Any],
    kinds: Sequence[str],
    y_values: np.ndarray,
    names: tuple[str, str],
    log: tuple[bool, bool],
    best: int,
) -> Markup:
    """A point for each trial: a parameter, a number or one of ``kinds``, against the objective; ``best`` is marked."""
    if not kinds:
        places = np.asarray(x_values, float)
        x = across(places, log[0])
    else:
        x = svg.words(kinds, LEFT, WIDTH - RIGHT)
        where = {kind: place for place, kind in enumerate(kinds)}
        # Beside each other, not upon each other: a golden-ratio sequence is even and the same each time.
        places = np.array([where[str(v)] + 0.5 * (i * 0.618034 % 1 - 0.5) for i, v in enumerate(x_values)])
    y = up(y_values, log[1])
    one = slice(best, best + 1)
    marks = [svg.points(x(places), y(y_values), "data"), svg.points(x(places[one]), y(y_values[one]), "best")]
    said = f"{names[1]} by {names[0]}, {len(y_values)} trials; the best has {names[0]} {x_values[best]}"
    return svg.plot(said, x, y, names, lambda *_: marks)


def parallel(axes: Mapping[str, tuple[Scale, np.ndarray]], fifths: np.ndarray) -> Markup:
    """A line for each trial across all axes, the best fifth on top.

    Args:
        axes: by name a scale from bottom to top and a value (trials,) each; nan where a trial has none.
        fifths: (trials,), 0 the best; -1 for the best trial itself.
    """
    width, height, floor = max(1000, 92 + _STEP * (len(axes) - 1)), 330, 330 - 56
    across_ = np.linspace(46, width - 46, len(axes))
    paths = np.stack([axis(values) for axis, values in axes.values()], axis=1)
    parts = []
    for trial in np.argsort(-fifths, kind="stable"):
        kind = "best" if fifths[trial] < 0 else f"q{fifths[trial]}" + (" many" if len(fifths) > _MANY else "")
        parts.append(svg.line(across_, paths[trial], kind))
    for place, (name, (axis, _)) in zip(across_, axes.items(), strict=True):
        parts.append(f'<path class="axis" d="M{place:.1f} 14V{floor}"/>')
        for tick, text in axis.ticks():
            parts.append(f'<path class="axis" d="M{place - 3:.1f} {tick:.1f}h3"/>')
            parts.append(f'<text class="tick halo" x="{place + 4:.1f}" y="{tick + 4:.1f}">{escape(text)}</text>')
        lines = _broken(name)
        for row, word in enumerate(lines):
            parts.append(
                f'<text class="name mid" x="{place:.1f}" y="{floor + 20 + 14 * row}">{escape(svg.cut(word, 18))}</text>'
            )
    return svg.picture(f"{len(fifths)} trials across {', '.join(axes)}", parts, width, height)


def vertical(values: Sequence[float], log: bool) -> Scale:
    """A parallel axis of numbers."""
    return svg.scale(values, 330 - 56, 14, log)


def vertical_words(names: Sequence[str]) -> Scale:
    """A parallel axis of words."""
    return svg.words(names, 330 - 56, 14)


def _broken(name: str) -> list[str]:
    """A dotted name in two lines."""
    head, _, tail = name.rpartition(".")
    return [tail, head] if head else [name]
