"""Figures: arrays in, matplotlib Figure out. Points are red and the fitted line is blue, as in the lessons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatter

from src.errors import printable

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features) to predictions (rows,)

POINTS = 2000  # more points than a picture can show apart
_POINT, _LINE, _REFERENCE = "tab:red", "tab:blue", "0.45"

# Names are text, whatever stands in them: ``$`` begins no formula.
_as_text = matplotlib.rc_context({"text.parse_math": False, "text.usetex": False})


@_as_text
def fit(
    features: np.ndarray,
    target: np.ndarray,
    predict: Predict,
    reference: Predict | None,
    feature_names: list[str],
    target_name: str,
) -> Figure:
    """The fitted line or curve over the points; predicted against actual for several features.

    ``features`` is (rows, features), ``target`` (rows,), both raw; ``predict`` and ``reference`` (the
    least-squares line, where it is to be shown beside that of one feature) take raw features.
    """
    figure, axes = _canvas(6, 4.2)
    if features.shape[1] == 1:
        grid = np.linspace(features.min(), features.max(), 200, dtype=features.dtype)[:, None]
        axes.scatter(features[:, 0], target, s=18, color=_POINT, label="data")
        if reference is not None:
            axes.plot(grid, reference(grid), "--", color=_REFERENCE, label="least squares")
        axes.plot(grid, predict(grid), color=_LINE, label="fitted")
        axes.set(xlabel=feature_names[0], ylabel=target_name)
    else:
        prediction = predict(features)
        ends = [min(target.min(), prediction.min()), max(target.max(), prediction.max())]
        axes.scatter(target, prediction, s=12, color=_POINT, label="data")
        axes.plot(ends, ends, color=_LINE, label="prediction = target")
        axes.set(xlabel=f"{target_name}, actual", ylabel=f"{target_name}, predicted")
    _legend(axes)
    return figure


@_as_text
def residuals(prediction: np.ndarray, target: np.ndarray, target_name: str) -> Figure:
    """What is left over, against the prediction: both (rows,)."""
    figure, axes = _canvas(6, 4.2)
    axes.scatter(prediction, target - prediction, s=18, color=_POINT)
    axes.axhline(0, color=_LINE)
    axes.set(xlabel=f"{target_name}, predicted", ylabel="actual - predicted")
    return figure


@_as_text
def curves(columns: dict[str, list[float]]) -> Figure:
    """Loss, and slope and intercept where there are such columns, over epochs."""
    panels: list[tuple[str, list[str]]] = [("loss", [n for n in ("train/loss", "val/mse") if n in columns])]
    panels += [(name, [name]) for name in ("slope", "intercept") if name in columns]
    figure = Figure(figsize=(1.2 + 3.4 * len(panels), 3.4), dpi=100)
    figure.subplots_adjust(left=0.75 / (1.2 + 3.4 * len(panels)), right=0.98, bottom=0.15, top=0.9, wspace=0.28)
    for axes, (title, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in names:
            epochs, values = _finite(columns["epoch"], columns[name])
            axes.plot(epochs, values, label=name, color=_LINE if name != "val/mse" else _POINT)
        _log_if_positive(axes, title == "loss")
        axes.set(title=title, xlabel="epoch")
        if len(names) > 1:
            _legend(axes)
    return figure


@_as_text
def compare_curves(runs: dict[str, dict[str, list[float]]], by: str) -> Figure:
    """The training loss of several runs, by name, over ``by`` (epoch or step)."""
    figure, axes = _canvas(7.5, 4.6)
    for name, columns in runs.items():
        positions, values = _finite(columns[by], columns["train/loss"])
        axes.plot(positions, values, label=name)
    _log_if_positive(axes, True)
    axes.set(xlabel="epochs" if by == "epoch" else "optimizer steps", ylabel="training loss")
    _legend(axes, fontsize="small")
    return figure


@_as_text
def compare_fits(
    features: np.ndarray, target: np.ndarray, fits: Mapping[str, Predict], feature_name: str, target_name: str
) -> Figure:
    """The fitted lines of several runs over the same points: features (rows, 1), target (rows,)."""
    figure, axes = _canvas(7.5, 4.6)
    some = slice(None, None, -(-len(target) // POINTS))
    axes.scatter(features[some, 0], target[some], s=14, color=_POINT, alpha=0.6, label="data")
    grid = np.linspace(features.min(), features.max(), 200, dtype=features.dtype)[:, None]
    for name, predict in fits.items():
        axes.plot(grid, predict(grid), label=name)
    axes.set(xlabel=feature_name, ylabel=target_name)
    _legend(axes, fontsize="small")
    return figure


@dataclass(frozen=True)
class Run:
    """What the figures of a run are made of.

    Args:
        columns: metrics.csv.
        features, target: raw training rows, no more than can be shown: (rows, features) and (rows,).
        predict: from raw features.
        line: gives the least-squares line of one feature; None where there are more.
        feature_names, target_name: of the table.
        fitted: whether there is anything to predict with.
    """

    columns: dict[str, list[float]]
    features: np.ndarray
    target: np.ndarray
    predict: Predict
    line: Callable[[], Predict | None]
    feature_names: list[str]
    target_name: str
    fitted: bool


# figures/NAME.png of a run; None where there is nothing to draw.
FIGURES: dict[str, Callable[[Run], Figure | None]] = {
    "curves": lambda run: curves(run.columns) if run.columns.get("epoch") else None,
    "fit": lambda run: (
        fit(run.features, run.target, run.predict, run.line(), run.feature_names, run.target_name)
        if run.fitted
        else None
    ),
    "residuals": lambda run: residuals(run.predict(run.features), run.target, run.target_name) if run.fitted else None,
}


@_as_text
def png(figure: Figure) -> bytes:
    """The picture's bytes. A control character in a name is spelled out: matplotlib's warning would print it."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    # Fixed margins: working them out would draw everything twice.
    figure = Figure(figsize=(width, height), dpi=100)
    return figure, figure.add_axes((0.8 / width, 0.6 / height, 1 - 1.0 / width, 1 - 0.8 / height))


def _legend(axes: Axes, **options: Any) -> None:
    # To matplotlib a label that begins with an underscore means that there is none, so the names come afterwards.
    shown: list[Any] = [*axes.collections, *axes.lines]
    legend = axes.legend(shown, [str(index) for index in range(len(shown))], **options)
    for text, artist in zip(legend.get_texts(), shown, strict=True):
        text.set_text(str(artist.get_label()))


def _finite(positions: list[float], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(positions), np.asarray(values)
    keep = np.isfinite(y) & (np.abs(y) < 1e12)  # a diverging curve would flatten every other
    return x[keep], y[keep]


def _log_if_positive(axes: Axes, wanted: bool) -> None:
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    if wanted and len(drawn) and (drawn > 0).all():
        axes.set_yscale("log")
        # Plain labels: typesetting powers of ten costs more than the rest of the picture.
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.4)))
