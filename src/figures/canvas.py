"""What every picture has in common: colours, numbers on axes, margins that fit them, legends, bytes."""

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from src.errors import printable

# Colours that those who see fewer of them tell apart (Okabe and Ito, Color Universal Design, 2008; the test's by Tol).
# Points are red and the fitted line is blue, as in the lessons.
COLORS = {"train": "#D55E00", "val": "#009E73", "out of fold": "#009E73", "test": "#332288"}
MARKERS = {"train": "o", "val": "s", "out of fold": "s", "test": "^"}
LINE, REFERENCE, MARK = "#0072B2", "0.45", "black"
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999933")
STYLES = ("-", "--", ":")  # of lines beyond the colours there are

COUNTS = ("epoch", "epochs", "optimizer steps")  # what is counted has no ticks between
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_RIGHT = 0.2  # inches to the right of a panel
_LINE = 0.2  # inches that a line of a legend above a panel takes
_NARROW = 20.0  # a logarithmic axis up to this ratio has the ticks of a linear one

# Names are text, whatever stands in them: ``$`` begins no formula. A program's own pictures keep their settings.
as_text = matplotlib.rc_context({"text.parse_math": False, "text.usetex": False})


def canvas(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty picture with panels side by side; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=100)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def finish(
    figure: Figure, panels: Sequence[Axes], widths: Sequence[float] | None = None, beside: bool = False
) -> Figure:
    """Chooses the ticks of each panel, and gives it the room that its labels take; returns the figure.

    matplotlib's own layouts work that out by drawing everything once more, which costs half a picture.

    Args:
        panels: from left to right.
        widths: of the panels, in parts; equal ones where not given.
        beside: whether the legend of the last panel stands to its right, for which the picture grows.
    """
    _spell(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.get_size_inches()
    aside = 0.0
    legend_of_last = panels[-1].get_legend()
    if beside and legend_of_last is not None:
        aside = legend_of_last.get_window_extent(renderer).width / figure.dpi + 0.1
        width += aside
        figure.set_size_inches(width, height)
    top = 0.12 + max(_above(axes) + 0.17 * len(axes.get_title("left").splitlines()) for axes in panels)
    bottom = 0.58 if any(axes.get_xlabel() for axes in panels) else 0.35
    lefts = [_left(axes, renderer, figure.dpi) for axes in panels]
    parts = widths or [1.0] * len(panels)
    free = width - aside - sum(lefts) - _RIGHT * len(panels)
    x = 0.0
    for axes, left, part in zip(panels, lefts, parts, strict=True):
        own = free * part / sum(parts)
        axes.set_position((((x + left) / width), bottom / height, own / width, (height - bottom - top) / height))
        set_ticks(axes, "x", max(2, int(own / 0.8)))
        x += left + own + _RIGHT
    return figure


def _left(axes: Axes, renderer: Any, dpi: float) -> float:
    """Inches that a panel needs for what stands to its left; its ticks are set."""
    if not axes.yaxis.get_visible():
        return 0.05
    set_ticks(axes, "y", 7)
    widest = max((text.get_window_extent(renderer).width for text in axes.get_yticklabels()), default=0.0)
    return float(0.17 + widest / dpi + 0.25 * bool(axes.get_ylabel()))


def _above(axes: Axes) -> float:
    """Inches that a legend above a panel takes."""
    return _LINE * getattr(axes, "legend_lines", 0)


def set_ticks(axes: Axes, which: str, most: int) -> None:
    """Round numbers along an axis, in one notation."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axes.get_xlim() if which == "x" else axes.get_ylim())
    values = tick_values(low, high, axis.get_scale() == "log", most)
    if axis.get_label_text() in COUNTS:
        values = values[values == np.round(values)]
    axis.set_major_locator(FixedLocator(values.tolist()))
    axis.set_major_formatter(FixedFormatter(tick_labels(values)))
    axis.set_minor_locator(NullLocator())


def tick_values(low: float, high: float, log: bool, most: int) -> np.ndarray:
    """Round numbers from ``low`` to ``high``, at most so many or one more."""
    if not log or high <= _NARROW * low:
        values = np.asarray(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    else:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        values = 10.0 ** np.arange(first, last + 1, max(1, -(-(last - first) // most)))
        if ((values >= low) & (values <= high)).sum() < 3:
            values = (values[:, None] * [1, 2, 5]).ravel()
    slack = 1e-9 * (high - low)
    return np.asarray(values[(values >= low - slack) & (values <= high + slack)])


def tick_labels(values: np.ndarray) -> list[str]:
    """Numbers as short as they can be told apart, all in one notation: 1.5, 20k, or 1e-6."""
    sizes = np.abs(values[values != 0])
    if not len(sizes):
        return [f"{value:g}" for value in values]
    steps = np.diff(values)
    even = len(steps) > 0 and bool(np.allclose(steps, steps[0]))
    if sizes.max() >= 1e15 or (sizes.max() if even else sizes.min()) < 1e-3:
        return [_scientific(value) for value in values]
    if not even:
        return [number(value) for value in values]
    unit, prefix = next(each for each in _PREFIXES if sizes.max() >= max(each[0], 1e4) or each[0] == 1.0)
    # As many digits as the step between two ticks has.
    digits = next(
        (n for n in range(10) if abs(round(steps[0] / unit, n) - steps[0] / unit) < 1e-6 * steps[0] / unit), 9
    )
    return [f"{value / unit:.{digits}f}{prefix}" if value else "0" for value in values]


def number(value: float) -> str:
    """A number in a title or a legend: three digits, and a letter for thousands, millions and so on."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size >= 1e15 or 0 < size < 1e-3:
        return _scientific(float(f"{value:.2e}"))
    if size < 1e4:
        return f"{value:.3g}" if size < 1000 else f"{value:.0f}"
    unit, prefix = next(each for each in _PREFIXES if size >= each[0])
    return f"{value / unit:.3g}{prefix}"


def _scientific(value: float) -> str:
    if not value:
        return "0"
    digits, _, exponent = f"{value:.6e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}"


def shorten(text: str, most: int = 48) -> str:
    """A name that an axis has room for, in one line."""
    text = text.replace("\n", " ")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def legend(axes: Axes, **options: Any) -> None:
    """What the artists are that have a name, which is their gid."""
    # To matplotlib a label that begins with an underscore means that there is none, so the names come afterwards.
    shown: list[Any] = [each for each in (*axes.collections, *axes.lines) if each.get_gid()]
    if not shown:
        return
    options = {"fontsize": 9, "framealpha": 0.85, "handlelength": 1.6} | options
    found = axes.legend(shown, [str(index) for index in range(len(shown))], **options)
    for text, artist in zip(found.get_texts(), shown, strict=True):
        text.set_text(str(artist.get_gid()))
    for handle in found.legend_handles:
        if isinstance(handle, PathCollection):  # points that are many are faint and small
            handle.set_alpha(1)
            handle.set_sizes([24])


def legend_above(axes: Axes, title: str, share: float = 1.0) -> None:
    """The same between a panel and its title, where it covers nothing; looking for a free place takes time, too.

    ``share`` is how much of the picture's width is the panel's.
    """
    names = [str(each.get_gid()) for each in (*axes.collections, *axes.lines) if each.get_gid()]
    room = 12.5 * share * float(axes.figure.get_figure(root=True).get_size_inches()[0])  # letters of a line
    lines = max(1, math.ceil(sum(len(name) + 6 for name in names) / room))
    axes.legend_lines = lines  # type: ignore[attr-defined]  # the panel keeps it for the layout
    axes.set_title(title, loc="left", fontsize=10, pad=6 + 72 * _LINE * lines)
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.985), "frameon": False, "borderaxespad": 0.2}
    legend(axes, fontsize=8, ncols=math.ceil(len(names) / lines), columnspacing=1.2, handletextpad=0.4, **place)


def robust_limits(values: np.ndarray, margin: float = 0.05) -> tuple[float, float]:
    """From the least to the largest number, and a little more; of a constant, one to each side."""
    finite = values[np.abs(values) < 1e100]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = margin * (high - low) or max(abs(low) * margin, 1e-12) or 1.0
    return low - room, high + room


@as_text
def png(figure: Figure) -> bytes:
    """The picture's bytes."""
    _spell(figure)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _spell(figure: Figure) -> None:
    """Spells a control character in a name out: matplotlib's warning would print it."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
