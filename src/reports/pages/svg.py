"""Pictures as SVG text: scales with round ticks, axes, and marks in coordinates with one decimal.

Nothing here has a colour: style.css gives it by class, for light, dark and paper. Every text is escaped.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 380, 250  # of a picture: about as wide as a phone, so that its words stay readable there
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 44
_TICKS = 5
_LONG = 14  # characters of a name on an axis


@dataclass(frozen=True)
class Scale:
    """From values to places.

    Args:
        low, high: values at the ends.
        start, end: where these are.
        log: whether equal ratios are equally far apart.
        names: of the places 0, 1, … of an axis of words.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    names: tuple[str, ...] = ()

    def __call__(self, values: "np.ndarray | Sequence[float]") -> np.ndarray:
        """Places (n,) of values (n,); what lies beyond an end is put there."""
        numbers = np.asarray(values, dtype=float)
        low, high = self.low, self.high
        if self.log:
            numbers, low, high = np.log(np.maximum(numbers, low)), math.log(low), math.log(high)
        share = np.clip((numbers - low) / (high - low), 0, 1)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of round values."""
        if self.names:
            return [(float(self([place])[0]), cut(name)) for place, name in enumerate(self.names)]
        values = _decades(self.low, self.high) if self.log else _round(self.low, self.high)
        return [(float(self([value])[0]), number(value)) for value in values]


def scale(values: Iterable[float], start: float, end: float, log: bool = False, pad: float = 0.04) -> Scale:
    """The scale that holds all finite values; a logarithmic one only where all are above zero."""
    finite = [value for value in map(float, values) if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0:
        room = (high / low) ** pad if high > low else 2.0
        return Scale(low / room, high * room, start, end, True)
    room = (high - low) * pad if high > low else abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def words(names: Sequence[str], start: float, end: float) -> Scale:
    """A scale of words, half a step from each end."""
    return Scale(-0.5, len(names) - 0.5, start, end, names=tuple(names))


def _round(low: float, high: float) -> list[float]:
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [place * step for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 3 else (1, 3) if last - first > 2 else (1, 2, 5)
    every = max(1, (last - first) // 6)
    found = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) > 1 else _round(low, high)


def number(value: float) -> str:
    """A number on an axis or in a sentence, in few characters."""
    text = f"{value:.4g}" if abs(value) < 1e5 else f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")


def cut(text: str, most: int = _LONG) -> str:
    """A name in one line, no longer than an axis has room for."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def picture(said: str, parts: Iterable[str], width: float = WIDTH, height: float = HEIGHT) -> Markup:
    """The whole picture; ``said`` is what a screen reader says of it."""
    body = Markup("").join(Markup(part) for part in parts)
    return Markup('<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        width, height, said, body
    )


def frame(x: Scale, y: Scale, x_name: str, y_name: str, height: float = HEIGHT) -> list[str]:
    """Grid lines, ticks and names of both axes."""
    floor, parts = height - BOTTOM, []
    ticks = [*((place, "x") for place in _thinned(x.ticks())), *((place, "y") for place in y.ticks())]
    for (place, text), axis in ticks:
        if axis == "x":
            parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{floor:.1f}"/>')
            parts.append(f'<text class="tick mid" x="{place:.1f}" y="{floor + 17:.1f}">{escape(text)}</text>')
        else:
            parts.append(f'<path class="grid" d="M{x.start:.1f} {place:.1f}H{x.end:.1f}"/>')
            parts.append(f'<text class="tick end" x="{x.start - 7:.1f}" y="{place + 4:.1f}">{escape(text)}</text>')
    parts.append(f'<path class="axis" d="M{x.start:.1f} {floor:.1f}H{x.end:.1f}"/>')
    middle = (x.start + x.end) / 2
    parts.append(f'<text class="name mid" x="{middle:.1f}" y="{height - 8:.1f}">{escape(cut(x_name, 44))}</text>')
    turned = f'transform="translate(13 {(TOP + floor) / 2:.1f}) rotate(-90)"'
    parts.append(f'<text class="name mid" {turned}>{escape(cut(y_name, 30))}</text>')
    return parts


def _thinned(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Ticks that leave each other room."""
    kept: list[tuple[float, str]] = []
    for place, text in ticks:
        if not kept or place - kept[-1][0] > 3.6 * (len(text) + len(kept[-1][1])) + 4:
            kept.append((place, text))
    return kept


def line(x: np.ndarray, y: np.ndarray, kind: str) -> str:
    """A line through places (n,); a gap where one is not finite."""
    parts, pen = [], "M"
    for a, b in zip(x, y, strict=True):
        if math.isfinite(a) and math.isfinite(b):
            parts.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return f'<path class="line {kind}" d="{"".join(parts)}"/>' if parts else ""


def points(x: np.ndarray, y: np.ndarray, kind: str) -> str:
    """Points at places (n,), all in one path: a point is a line of no length with round ends."""
    there = np.isfinite(x) & np.isfinite(y)
    d = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[there], y[there], strict=True))
    return f'<path class="points {kind}" d="{d}"/>' if d else ""


def plot(
    said: str, x: Scale, y: Scale, names: tuple[str, str], marks: Callable[[Scale, Scale], Iterable[str]]
) -> Markup:
    """A picture with two axes and what ``marks`` draws between them."""
    return picture(said, [*frame(x, y, *names), *marks(x, y)])


def across(values: Iterable[float], log: bool = False) -> Scale:
    """A scale from left to right."""
    return scale(values, LEFT, WIDTH - RIGHT, log)


def up(values: Iterable[float], log: bool = False) -> Scale:
    """A scale from bottom to top."""
    return scale(values, HEIGHT - BOTTOM, TOP, log)
