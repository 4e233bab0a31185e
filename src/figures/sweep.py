"""The runs of a sweep, drawn over each other."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.canvas import COLORS, SERIES, STYLES, as_text, canvas, finish, legend, number, robust_limits, shorten
from src.figures.rows import POINTS, Predict

Columns = Mapping[str, Sequence[float]]

_FAR = 100.0  # an end so many times the median of all ends has no say in the limits


@as_text
def compare_curves(runs: Mapping[str, Columns], by: str, title: str = "", graded: bool = False) -> Figure:
    """The training loss of several runs, by name, over ``by`` (epoch or step).

    A run that ends far above the others leaves the picture at its upper edge, and its label says where it went.
    ``graded`` says that the runs have an order.
    """
    figure, (axes,) = canvas(7.8, 4.6)
    axes.set_title(title, loc="left", fontsize=10)
    tables = {
        name: (np.asarray(table[by], float), np.asarray(table["train/loss"], float)) for name, table in runs.items()
    }
    ends = {name: _end(values) for name, (_, values) in tables.items()}
    usual = float(np.median([end for end in ends.values() if np.isfinite(end)] or [np.nan]))
    out = {name for name, end in ends.items() if not end <= _FAR * abs(usual)} if len(runs) > 1 else set()
    for (name, (positions, values)), style in zip(tables.items(), styles(list(runs), graded).values(), strict=True):
        said = f", off the picture: {number(ends[name])}" if name in out else ""
        there = np.isfinite(values) & (np.abs(values) < 1e100)
        x, y = positions[there], values[there]
        axes.plot(x, y, gid=f"{shorten(name, 60)}{said}", **style)
        axes.plot(x[-1:], y[-1:], ".", color=style["color"])  # a shorter run may lie under a longer one
    shown = [values[np.isfinite(values)] for name, (_, values) in tables.items() if name not in out]
    every = np.concatenate(shown) if shown else np.empty(0)
    if len(every) and every.min() > 0:
        axes.set_yscale("log")
        low, high = np.log10(every.min()), np.log10(every.max())
        axes.set_ylim(10 ** (low - 0.05 * (high - low) - 0.01), 10 ** (high + 0.05 * (high - low) + 0.01))
    elif len(every):
        axes.set_ylim(robust_limits(every))
    axes.set(xlabel="epochs" if by == "epoch" else "optimizer steps", ylabel="training loss")
    _beside(axes)
    return finish(figure, [axes], beside=True)


@as_text
def compare_fits(
    features: np.ndarray,
    target: np.ndarray,
    fits: Mapping[str, Predict],
    feature_name: str,
    target_name: str,
    title: str = "",
    style: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """The fitted lines of several runs over the same points: features (rows, 1), target (rows,).

    The points decide what is seen; a line that is nowhere near them is named in the legend all the same. ``style`` is
    of ``styles``, so that a run looks the same in every picture.
    """
    figure, (axes,) = canvas(7.8, 4.6)
    axes.set_title(title, loc="left", fontsize=10)
    some = slice(None, None, -(-len(target) // POINTS))
    axes.scatter(features[some, 0], target[some], s=14, color=COLORS["train"], alpha=0.5, lw=0, gid="data")
    grid = np.linspace(np.nanmin(features), np.nanmax(features), 200, dtype=features.dtype)[:, None]
    low, high = robust_limits(np.asarray(target, float), 0.25)
    own = style or styles(list(fits), False)
    for name, predict in fits.items():
        line = predict(grid)
        said = "" if ((line >= low) & (line <= high)).any() else ", off the picture"
        axes.plot(grid[:, 0], np.clip(line, -1e100, 1e100), gid=f"{shorten(name, 60)}{said}", **own[name])
    axes.set_ylim(low, high)
    axes.set(xlabel=shorten(feature_name), ylabel=shorten(target_name))
    _beside(axes)
    return finish(figure, [axes], beside=True)


def _beside(axes: Axes) -> None:
    legend(axes, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.02), frameon=False)


def styles(names: Sequence[str], graded: bool) -> dict[str, dict[str, Any]]:
    """Colour and dashes of each run: from dark to light where the runs have an order, else as different as can be."""
    if graded:
        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(names)))
        return {name: {"color": shade} for name, shade in zip(names, shades, strict=True)}
    kinds = [(color, style) for style in STYLES for color in SERIES]
    return {
        name: dict(zip(("color", "ls"), kind, strict=True)) for name, kind in zip(names, cycle(kinds), strict=False)
    }


def _end(values: np.ndarray) -> float:
    """Where a curve ends; of one that broke off, how far it got."""
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else np.inf
