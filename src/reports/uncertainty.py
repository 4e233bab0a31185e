"""How well the rows that chose a sweep's best know its figure."""

from collections.abc import Sequence

import numpy as np

from src.training.task import figure

_DRAWS = 1000
# Of normal errors the root of the mean square is known to 1/sqrt(2 rows): above the second it is 1 %, and nothing is
# said; below the first more than 5 %, which is what tuning mostly gains, and folds are advised.
FEW, MANY = 200, 5000
LEVEL = 0.95


def interval(
    errors: np.ndarray,
    target: np.ndarray,
    metric: str,
    weights: np.ndarray | None = None,
    targets: Sequence[str] = ("",),
) -> tuple[float, float]:
    """Where a figure may lie, had other rows like these judged it: the percentile bootstrap (Efron, 1979).

    Args:
        errors, target: of the rows, (targets, rows), or (rows,) of one target, in the targets' units.
        metric: a name of ``figure_names``.
        weights: how much each row counts, (rows,); None for 1.
        targets: their names.
    """
    import torch

    rows = errors.shape[-1]
    drawn = np.random.default_rng(0).integers(rows, size=(_DRAWS, 1, rows))
    error, wanted = (np.atleast_2d(each)[np.arange(each.size // rows)[:, None], drawn] for each in (errors, target))
    if weights is None:
        spread, weight = wanted.var(axis=2), None
    else:
        heavy = weights[drawn]
        share = heavy / np.maximum(heavy.sum(axis=2, keepdims=True), np.finfo(float).tiny)
        mean = (share * wanted).sum(axis=2, keepdims=True)
        spread, weight = (share * (wanted - mean) ** 2).sum(axis=2), torch.from_numpy(heavy)
    values = figure(metric, torch.from_numpy(error), torch.from_numpy(spread), weight, targets).numpy()
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
