"""How well the rows that chose a sweep's best know its figure."""

import numpy as np

from src.training.task import METRICS

_DRAWS = 1000
# Of normal errors the root of the mean square is known to 1/sqrt(2 rows): above the second it is 1 %, and nothing is
# said; below the first more than 5 %, which is what tuning mostly gains, and folds are advised.
FEW, MANY = 200, 5000
LEVEL = 0.95


def interval(errors: np.ndarray, target: np.ndarray, metric: str) -> tuple[float, float]:
    """Where a figure may lie, had other rows like these judged it: the percentile bootstrap (Efron, 1979).

    Args:
        errors, target: of the rows, (rows,), in the target's unit.
        metric: a name of ``METRICS``.
    """
    import torch

    drawn = np.random.default_rng(0).integers(len(errors), size=(_DRAWS, len(errors)))
    found, variance = METRICS[metric], torch.from_numpy(target[drawn].var(axis=1))
    values = found.value(found.part(torch.from_numpy(errors[drawn])), len(errors), variance).numpy()
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def sentence(run: str, name: str, value: float, bounds: tuple[float, float], rows: int, all_rows: int, of: int) -> str:
    """One line on the figure that a sweep chose by.

    Args:
        run: the best.
        name, value: its objective, SPLIT/METRIC.
        bounds: what it may be.
        rows, all_rows: that judged it, and that could have.
        of: runs that it was chosen from.
    """
    said = f"run {run}: {name} {value:.6g} is of {rows} rows, {LEVEL:.0%} interval {bounds[0]:.4g} to {bounds[1]:.4g}"
    if of > 1:
        said += f"; chosen by these rows as the best of {of}, it is likely too good"
    if rows < FEW and rows < all_rows:
        said += f"; folds=5 would judge by all {all_rows}"
    return said


def of_seeds(name: str, average: float, spread: float, seeds: int) -> str:
    """One line on a mean over seeds: Student's interval, which knows nothing of rows that all seeds have in common."""
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, seeds - 1)) * spread / seeds**0.5
    bounds = f"{average - half:.4g} to {average + half:.4g}"
    return f"rank 1: {name} {average:.6g} is the mean of {seeds} seeds, {LEVEL:.0%} interval {bounds}"
