"""Checks of rows: residuals, features and splits. They look at every number, so a page has them, a run's end not."""

import math
from collections.abc import Sequence

import numpy as np

_LEAST = 20  # rows below which a pattern is chance
_CLEAR = 0.3  # the rank correlation from which a pattern is told
_SURE = 3.3  # standard errors: one in a thousand by chance
_NEARLY = 0.999  # the correlation from which a feature is nearly the target
_SAME = 0.01  # the share of held-back rows that may lie among the training rows
_CHANCE = 0.001  # of all features together, that a difference is chance
_FAR = 0.1  # the largest gap between two distributions that is none to tell of
_FEW = 5  # features that are named


def pattern(prediction: np.ndarray, residual: np.ndarray) -> str | None:
    """P07: residuals that rise or fall, bend, or grow with the prediction: Spearman's correlations of ranks.

    Args:
        prediction, residual: (rows,), of rows that were held back where there are some.
    """
    rows = len(prediction)
    if rows < _LEAST or np.ptp(prediction) == 0 or np.ptp(residual) == 0:
        return None
    place = ranks(prediction)
    found = {
        "they trend with the prediction": correlation(place, ranks(residual)),
        "they bend with the prediction": correlation(ranks(np.abs(place - place.mean())), ranks(residual)),
        "they fan out: their size changes with the prediction": correlation(place, ranks(np.abs(residual))),
    }
    said = [
        f"{text} (rank correlation {value:+.2f})"
        for text, value in found.items()
        if abs(value) > _CLEAR and abs(value) * math.sqrt(rows - 1) > _SURE
    ]
    return "; ".join(said) or None


def nearly_target(features: np.ndarray, target: np.ndarray, names: Sequence[str], words: Sequence[bool]) -> str | None:
    """P08: a number that is the target but for a straight line or an order, or a category that tells it.

    Args:
        features: (rows, features), raw; nan where there is a gap.
        target: (rows,).
        names: of the features.
        words: whether each is a category.
    """
    found = []
    for place, name in enumerate(names):
        column = features[:, place].astype(np.float64)
        there = ~np.isnan(column)
        column, wanted = column[there], target[there].astype(np.float64)
        if len(column) < _LEAST or np.ptp(wanted) == 0:
            continue
        value = _told(column, wanted) if words[place] else _alike(column, wanted)
        if value >= _NEARLY:
            found.append(f"{name} ({value:.4f})")
    return f"correlation with the target: {_listed(found)}" if found else None


def _alike(column: np.ndarray, target: np.ndarray) -> float:
    if np.ptp(column) == 0:
        return 0.0
    return max(abs(correlation(column, target)), abs(correlation(ranks(column), ranks(target))))


def _told(codes: np.ndarray, target: np.ndarray) -> float:
    """The correlation ratio of categories with at least two rows each in the mean."""
    _, place = np.unique(codes, return_inverse=True)
    counts = np.bincount(place)
    if len(counts) * 2 > len(codes):
        return 0.0
    means = np.bincount(place, target) / counts
    return math.sqrt(np.var(means[place]) / np.var(target))


def repeated(train: np.ndarray, other: np.ndarray, split: str) -> str | None:
    """P09: rows of a split, features and target, that are among the training rows as well.

    Args:
        train, other: (rows, features + 1).
        split: the name of the other.
    """
    if not len(other):
        return None
    known = {row.tobytes() for row in np.ascontiguousarray(train)}
    same = sum(row.tobytes() in known for row in np.ascontiguousarray(other))
    if same < 1 or same < _SAME * len(other):
        return None
    return f"{same} of {len(other)} {split} rows are among the training rows, target and all"


def drift(train: np.ndarray, other: np.ndarray, names: Sequence[str], words: Sequence[bool], split: str) -> str | None:
    """P10: columns whose values are distributed otherwise than in training, beyond chance and by a tenth or more.

    The gap is Kolmogorov and Smirnov's, of categories half the summed difference of shares; chance is bounded by
    Smirnov's tail for both, divided by the number of columns.

    Args:
        train, other: (rows, columns), raw.
        names, words: of the columns, and whether each is a category.
        split: the name of the other.
    """
    found: list[tuple[float, str]] = []
    for place, name in enumerate(names):
        one, two = (part[:, place][~np.isnan(part[:, place])] for part in (train, other))
        if len(one) < _LEAST or len(two) < _LEAST:
            continue
        gap = _categories(one, two) if words[place] else _smirnov(one, two)
        sure = math.sqrt(-math.log(_CHANCE / len(names) / 2) / 2 * (1 / len(one) + 1 / len(two)))
        if words[place]:  # a sum over categories, each of which adds to it by chance
            kinds = len(np.unique(np.concatenate([one, two])))
            sure += 0.5 * math.sqrt(kinds * (1 / len(one) + 1 / len(two)))
        if gap > max(sure, _FAR):
            found.append((gap, f"{name} ({gap:.2f})"))
    named = [text for _, text in sorted(found, reverse=True)]
    return f"{split} rows are distributed otherwise than training rows in {_listed(named)}" if named else None


def _smirnov(one: np.ndarray, two: np.ndarray) -> float:
    every = np.sort(np.concatenate([one, two]))
    shares = [np.searchsorted(np.sort(part), every, side="right") / len(part) for part in (one, two)]
    return float(np.abs(shares[0] - shares[1]).max())


def _categories(one: np.ndarray, two: np.ndarray) -> float:
    kinds = np.unique(np.concatenate([one, two]))
    shares = [np.bincount(np.searchsorted(kinds, part), minlength=len(kinds)) / len(part) for part in (one, two)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks (rows,) from 0; those of equal values are their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[place]


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Pearson's correlation of two columns (rows,); 0 where one is constant."""
    a, b = one - one.mean(), two - two.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else 0.0


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
