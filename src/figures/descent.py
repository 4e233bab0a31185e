"""A straight line of one feature finding its place: what it fits beside its way over the loss, as a GIF."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from src.figures.canvas import COLORS, LINE, MARK, REFERENCE, as_text, canvas, finish, legend, robust_limits, shorten

_FRAMES = 60
_MILLISECONDS = 80
_LAST = 2000  # milliseconds that the end stands still
_GRID = 120  # points of the surface to each side
_FAR = 20.0  # a step so many times further out than the path's middle half is off the picture


@dataclass(frozen=True)
class Descent:
    """A training, to be watched.

    Args:
        title: model and data.
        features, target: (rows,) the training rows, no more than can be shown.
        slopes, intercepts: (epochs,), in raw units.
        epochs: (epochs,) their numbers.
        least_squares: slope and intercept.
        feature_name, target_name: of the table.
    """

    title: str
    features: np.ndarray
    target: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray
    epochs: np.ndarray
    least_squares: tuple[float, float]
    feature_name: str
    target_name: str


def surface(features: np.ndarray, target: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
    """The mean squared error of lines, (intercepts, slopes), from the moments of the rows."""
    x, y = features.astype(np.float64), target.astype(np.float64)
    a, b = np.meshgrid(slopes, intercepts)
    linear = -2 * a * (x * y).mean() - 2 * b * y.mean() + 2 * a * b * x.mean()
    return np.asarray((y * y).mean() + a * a * (x * x).mean() + b * b + linear)


def chosen(count: int, most: int = _FRAMES) -> np.ndarray:
    """Which epochs become frames: the first ones close together, for a line goes far in the beginning."""
    return np.unique(np.geomspace(1, count, most).round().astype(int)) - 1


@as_text
def draw_descent(found: Descent, path: Path) -> None:
    """Writes the GIF: each frame is an epoch."""
    figure, (left, right) = canvas(8.6, 4.0, 2)
    _rows(left, found)
    _surface(right, found)
    finish(figure, [left, right])
    grid = np.array([found.features.min(), found.features.max()], float)
    (line,) = left.plot(grid, grid, color=LINE, lw=2, animated=True)
    (way,) = right.plot([], [], color=LINE, lw=1.5, animated=True)
    (here,) = right.plot([], [], "o", color=LINE, ms=6, animated=True)
    said = left.set_title("", loc="left", fontsize=10)
    said.set_animated(True)
    # What stands still is drawn once, or a second would go by for ten frames.
    agg = FigureCanvasAgg(figure)
    agg.draw()
    still = agg.copy_from_bbox(figure.bbox)
    frames: list[Image.Image] = []
    for place in chosen(len(found.epochs)):
        agg.restore_region(still)
        slope, intercept = float(found.slopes[place]), float(found.intercepts[place])
        line.set_ydata(slope * grid + intercept)
        way.set_data(found.slopes[: place + 1], found.intercepts[: place + 1])
        here.set_data([slope], [intercept])
        said.set_text(f"{found.title}, epoch {int(found.epochs[place])}\nslope {slope:.4g}, intercept {intercept:.4g}")
        for artist, axes in ((line, left), (said, left), (way, right), (here, right)):
            axes.draw_artist(artist)
        frame = Image.fromarray(np.asarray(agg.buffer_rgba())).convert("RGB")
        frames.append(frame.quantize(64, dither=Image.Dither.NONE, palette=frames[0] if frames else None))
    _save(frames, path)


def _rows(axes: Axes, found: Descent) -> None:
    axes.scatter(found.features, found.target, s=16, color=COLORS["train"], lw=0, gid="train")
    ends = np.array([found.features.min(), found.features.max()], float)
    slope, intercept = found.least_squares
    axes.plot(ends, slope * ends + intercept, "--", color=REFERENCE, gid="least squares")
    axes.set_ylim(robust_limits(np.asarray(found.target, float), 0.2))
    axes.set_title(" \n ", loc="left", fontsize=10)
    axes.set(xlabel=shorten(found.feature_name, 30), ylabel=shorten(found.target_name, 30))
    legend(axes, fontsize=8)


def _surface(axes: Axes, found: Descent) -> None:
    slopes, intercepts = (
        np.linspace(*_span(values, known), _GRID)
        for values, known in zip((found.slopes, found.intercepts), found.least_squares, strict=True)
    )
    heights = surface(found.features, found.target, slopes, intercepts)
    least = float(surface(found.features, found.target, *(np.array([known]) for known in found.least_squares))[0, 0])
    # Levels lie closer together towards the bottom: above it, a valley has the depth that it looks to have.
    above = np.log10(np.maximum(heights - least, 1e-12 * max(heights.max(), 1e-300)))
    low = max(float(above.min()), float(above.max()) - 5)
    high = float(above.max())
    shades: Any = {"cmap": "Greys", "vmin": low, "vmax": 2 * high - low}  # light enough for what is drawn upon it
    axes.contourf(slopes, intercepts, above, np.linspace(low, high, 22), extend="min", **shades)
    axes.plot(*([known] for known in found.least_squares), "*", color=MARK, ms=11, ls="", gid="least squares")
    axes.set_xlim(slopes[0], slopes[-1])
    axes.set_ylim(intercepts[0], intercepts[-1])
    axes.set_title("mean squared error: the darker, the more", loc="left", fontsize=10)
    axes.set(xlabel="slope", ylabel="intercept")
    legend(axes, fontsize=8)


def _span(values: np.ndarray, known: float) -> tuple[float, float]:
    """What has to be seen of a path and its aim; a step far out, as before a divergence, has no say."""
    low, high = np.nanquantile(values, [0.25, 0.75])
    reach = _FAR * max(high - low, abs(known - (low + high) / 2))
    return robust_limits(np.append(values[np.abs(values - (low + high) / 2) <= reach], known), 0.15)


def _save(frames: Sequence[Image.Image], path: Path) -> None:
    times = [_MILLISECONDS] * (len(frames) - 1) + [_LAST]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)
