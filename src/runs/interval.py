"""Between which values a target lies: by errors on rows that no model saw, or by quantiles that were learned."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.errors import UserError, first_line
from src.runs.folder import RunFolder

Output = tuple[str, int, float]  # a column of a prediction: its name, which of the outputs it is, how far from there
Ends = Sequence[tuple[tuple[int, float], tuple[int, float]]]  # of each target: the low and the high end, likewise


def outputs(targets: Sequence[str], levels: Sequence[float], ends: Ends = ()) -> list[Output]:
    """The columns that predicting gives: each target, the ends of its interval, and of several levels each.

    Raises:
        UserError: the ends are of another number of targets.
    """
    if len(ends) not in (0, len(targets)):
        raise UserError(f"predictions_oof.csv has {len(ends)} of {len(targets)} targets, which leaves no interval")
    found: list[Output] = []
    for place, target in enumerate(targets):
        found.append((f"{target}_predicted", place, 0.0))
        bounds = zip(("low", "high"), ends[place] if ends else (), strict=False)
        found += [(f"{target}_{name}", *end) for name, end in bounds]
    each = [(f"{targets[0]}_q{level:g}", levels.index(level), 0.0) for level in sorted(levels)]
    return found + (each if len(levels) > 1 else [])


def ends_of(folder: RunFolder, levels: Sequence[float], interval: float | None) -> Ends:
    """The low and the high end of each target's interval: a place of an output, and how far from there; () for none.

    They are quantiles where the run has learned those, and else as far from the prediction as ``half_width`` says.

    Raises:
        UserError: the interval is no share, or the run has neither its quantiles nor predictions for rows that a model
            did not see.
    """
    if interval is None:
        return ()
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
        raise UserError(f"interval must be a number between 0 and 1, both excluded, found {interval!r}")
    ends = [(1 - interval) / 2, (1 + interval) / 2]
    places = [place for end in ends for place, level in enumerate(levels) if abs(level - end) < 1e-9]
    if len(places) == 2:
        return [((places[0], 0.0), (places[1], 0.0))]
    if not folder.is_as_written(folder.out_of_fold):
        raise UserError(f"{folder.out_of_fold}: is damaged, its checksum in summary.json is another one")
    halves = [half_width(columns, interval) for columns in read_out_of_fold(folder.out_of_fold)]
    return [((place, -half), (place, half)) for place, half in enumerate(halves)]


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


def read_out_of_fold(path: Path) -> list[dict[str, np.ndarray]]:
    """The columns of predictions_oof.csv for each target: row, fold, target, prediction, and weight of weighed rows.

    Raises:
        UserError: the run has no such file, or it is damaged.
    """
    try:
        lines = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        if lines.shape[1] < 4:
            raise ValueError(f"{lines.shape[1]} columns, expected at least 4")
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: an interval needs rows that no model saw, which a run with folds=5 has, "
            "or the quantiles at its ends, which loss=quantile learns"
        ) from None
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from None
    columns = list(lines.T)
    weight = {"weight": columns.pop()} if len(columns) % 2 else {}
    common = {"row": columns[0], "fold": columns[1]}
    pairs = zip(columns[2::2], columns[3::2], strict=True)
    return [common | {"target": target, "prediction": found} | weight for target, found in pairs]
