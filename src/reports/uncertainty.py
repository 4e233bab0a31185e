"""How well the rows that chose a sweep's best know its figure."""

import numpy as np

from src.training.task import METRICS

_DRAWS = 1000
# Of normal errors the root of the mean square is known to 1/sqrt(2 rows): above the second it is 1 %, and nothing is
# said; below the first more than 5 %, which is what tuning mostly gains, and folds are advised.
FEW, MANY = 200, 5000
LEVEL = 0.95


def interval(
    errors: np.ndarray, target: np.ndarray, metric: str, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Where a figure may lie, had other rows like these judged it: the percentile bootstrap (Efron, 1979).

    Args:
        errors, target: of the rows, (rows,), in the target's unit.
        metric: a name of ``METRICS``.
        weights: how much each row counts, (rows,); None for 1.
    """
    import torch

    drawn = np.random.default_rng(0).integers(len(errors), size=(_DRAWS, len(errors)))
    found = METRICS[metric]
    if weights is None:
        spread, weight, total = target[drawn].var(axis=1), None, torch.tensor(len(errors))
    else:
        heavy = weights[drawn]
        share = heavy / np.maximum(heavy.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        mean = (share * target[drawn]).sum(axis=1, keepdims=True)
        spread = (share * (target[drawn] - mean) ** 2).sum(axis=1)
        weight, total = torch.from_numpy(heavy), torch.from_numpy(heavy.sum(axis=1))
    part = found.part(torch.from_numpy(errors[drawn]), weight)
    values = found.value(part, total, torch.from_numpy(spread)).numpy()
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
    low, high = (f"{bound:.4g}" for bound in bounds)
    said = f"run {run}: {name} {value:.6g} is of {rows} rows, {LEVEL:.0%} bootstrap interval {low} to {high}"
    if of > 1:
        said += f"; chosen by these rows as the best of {of}, it is likely too good"
    if rows < FEW and rows < all_rows:
        said += f"; folds=5 would judge by all {all_rows}"
    return said


def of_seeds(name: str, average: float, spread: float, seeds: int, rows: int | None) -> str:
    """One line on a mean over seeds, with Student's interval.

    Args:
        name: of the figure.
        average, spread, seeds: its mean, its deviation, and of how many.
        rows: that judged all of them alike; None where each seed kept other ones.
    """
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, seeds - 1)) * spread / seeds**0.5
    bounds = f"{average - half:.4g} to {average + half:.4g}"
    more = f", of starts and not of rows: all were judged by the same {rows}" if rows else ""
    return f"rank 1: {name} {average:.6g} is the mean of {seeds} seeds, {LEVEL:.0%} interval {bounds}{more}"
