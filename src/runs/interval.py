"""Between which values a target lies: by errors on rows that no model saw, or by quantiles that were learned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.errors import UserError, first_line
from src.runs.folder import RunFolder

Output = tuple[str, int, float]  # a column of a prediction: its name, of which level it is, and how far from there


def outputs(target: str, levels: Sequence[float], ends: Sequence[tuple[int, float]] = ()) -> list[Output]:
    """The columns that predicting a target gives: itself, the ends of an interval, and of several levels each."""
    bounds = [(f"{target}_{name}", *end) for name, end in zip(("low", "high"), ends, strict=False)]
    each = [(f"{target}_q{level:g}", levels.index(level), 0.0) for level in sorted(levels)]
    return [(f"{target}_predicted", 0, 0.0), *bounds, *(each if len(levels) > 1 else [])]


def ends_of(folder: RunFolder, levels: Sequence[float], interval: float | None) -> list[tuple[int, float]]:
    """The low and the high end of an interval: the place of a level, and how far from there; [] where none is asked.

    They are quantiles where the run has learned those, and else as far from the prediction as ``half_width`` says.

    Raises:
        UserError: the interval is no share, or the run has neither its quantiles nor predictions for rows that a model
            did not see.
    """
    if interval is None:
        return []
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
        raise UserError(f"interval must be a number between 0 and 1, both excluded, found {interval!r}")
    ends = [(1 - interval) / 2, (1 + interval) / 2]
    places = [place for end in ends for place, level in enumerate(levels) if abs(level - end) < 1e-9]
    if len(places) == 2:
        return [(place, 0.0) for place in places]
    if not folder.is_as_written(folder.out_of_fold):
        raise UserError(f"{folder.out_of_fold}: is damaged, its checksum in summary.json is another one")
    half = half_width(read_out_of_fold(folder.out_of_fold), interval)
    return [(0, -half), (0, half)]


def half_width(columns: dict[str, np.ndarray], level: float) -> float:
    """How far to each side of a prediction an interval goes that holds the target in ``level`` of the cases.

    The quantile of the out-of-fold errors, as large as finitely many of them need (cross-conformal: Vovk, 2015).
    Infinite where they are too few for the level. Weighed rows count by their weights, and the next one as their mean
    (Tibshirani et al., 2019).
    """
    errors = np.abs(columns["prediction"] - columns["target"])
    if "weight" in columns:
        order = np.argsort(errors, kind="stable")
        share = columns["weight"][order].cumsum() / columns["weight"].sum()
        place = int((share < level * (1 + 1 / len(errors)) - 1e-12).sum())
        return float(errors[order][place]) if place < len(errors) else float("inf")
    errors = np.sort(errors)
    place = int(np.ceil((len(errors) + 1) * level))
    return float(errors[place - 1]) if place <= len(errors) else float("inf")


def read_out_of_fold(path: Path) -> dict[str, np.ndarray]:
    """The columns of predictions_oof.csv: row, fold, target, prediction, and weight where rows are weighed.

    Raises:
        UserError: the run has no such file, or it is damaged.
    """
    try:
        lines = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        if lines.shape[1] not in (4, 5):
            raise ValueError(f"{lines.shape[1]} columns, expected 4 or 5")
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: an interval needs rows that no model saw, which a run with folds=5 has, "
            "or the quantiles at its ends, which loss=quantile learns"
        ) from None
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from None
    return dict(zip(("row", "fold", "target", "prediction", "weight"), lines.T, strict=False))
