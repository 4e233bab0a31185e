"""Whether the best of a sweep is better than the others, or just ahead: their figures in pairs, by fold or by seed."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.reports.leaderboard import SHOWN, Row

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05  # a smaller p counts as evidence
# What a trial may change of which rows judge it, beside its seed; two such trials have nothing in common.
_SPLITS = ("folds", "data.split_seed", "data.group", "data.time", "data.split")

Figures = Mapping[Hashable, float]  # of a group of runs, by what two groups have in common: a fold, a seed


@dataclass(frozen=True)
class Pairs:
    """The best against another, over what they have in common.

    Args:
        rank: of the other.
        wins: pairs in which the best is better.
        count: all pairs.
        p: of Wilcoxon's signed-rank test (1945), two-sided; 1 where all pairs are equal.
        against: whether the signed ranks favour the other one.
    """

    rank: int
    wins: int
    count: int
    p: float
    against: bool


def compared(best: Figures, other: Figures, rank: int, sign: int) -> Pairs | None:
    """The test of two groups; None where they have fewer than two pairs in common.

    Args:
        best, other: their figures.
        rank: of the other.
        sign: 1 where less is better, -1 where more is.
    """
    common = [key for key in best if key in other]
    if len(common) < 2:
        return None
    import numpy as np
    from scipy.stats import rankdata, wilcoxon  # takes half a second

    ahead = sign * np.array([other[key] - best[key] for key in common])
    p = float(wilcoxon(ahead).pvalue) if ahead.any() else 1.0
    favour = float((rankdata(np.abs(ahead)) * np.sign(ahead)).sum())
    return Pairs(rank, int((ahead > 0).sum()), len(common), p, favour < 0)


def holm(values: "Sequence[float]") -> "np.ndarray":
    """p-values corrected for being several: Holm's step-down procedure (1979), in their order."""
    import numpy as np

    found = np.asarray(values, float)
    order = np.argsort(found, kind="stable")
    stepped = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    corrected = np.empty(len(found))
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def sentences(pairs: Sequence[Pairs], unit: str, remedy: str) -> list[str]:
    """What the comparisons come to, in words.

    Args:
        pairs: the best against each of the others.
        unit: what a pair is: folds, seeds.
        remedy: what gives more pairs, in which {} is how many it takes.
    """
    if not pairs:
        return []
    count = min(each.count for each in pairs)
    over = f"over {count} {unit}"
    least, several = 2.0 ** (1 - count), len(pairs)
    if several * least >= LEVEL:
        ranks = f"rank {pairs[0].rank}" if several == 1 else f"ranks {pairs[0].rank} to {pairs[-1].rank}"
        wins = " to ".join(map(str, sorted({min(each.wins for each in pairs), max(each.wins for each in pairs)})))
        corrected = f", {_p(several * least)} after Holm's correction for {several}" if several > 1 else ""
        needed = next(n for n in range(2, 99) if several * 2.0 ** (1 - n) < LEVEL)
        return [
            f"rank 1 is ahead of {ranks} in {wins} of {count} {unit}; so few can show nothing: the smallest p of "
            f"Wilcoxon's signed-rank test is {_p(least)}{corrected}; {remedy.format(needed)}"
        ]
    corrected_p = holm([each.p for each in pairs])
    shown = [(each, f"{each.rank} (p = {_p(p)})", p < LEVEL) for each, p in zip(pairs, corrected_p, strict=True)]
    kinds = {
        "no evidence that rank 1 beats rank {}": [said for _, said, clear in shown if not clear],
        "rank 1 beats rank {}": [said for each, said, clear in shown if clear and not each.against],
        "its mean puts rank 1 first, most pairs put it behind rank {}": [
            said for each, said, clear in shown if clear and each.against
        ],
    }
    how = "Wilcoxon's signed-rank test" + (", Holm's correction" if several > 1 else "")
    return [f"{text.format(', '.join(ranks))} {over}: {how}" for text, ranks in kinds.items() if ranks]


def _p(value: float) -> str:
    return f"{min(value, 1):.3g}" if value >= 0.001 else "0.001 or less"


def comparison(rows: Sequence[Row], directions: Sequence[str]) -> list[str]:
    """The best of a leaderboard against the others that a terminal shows, where they have folds or seeds in common.

    Args:
        rows: ranked.
        directions: of the objectives; of several objectives nothing is said.
    """
    groups: dict[int, dict[Hashable, float]] = {}
    for row in rows:
        if row.rank is not None and row.rank <= SHOWN:
            groups.setdefault(row.rank, {}).update(_figures(row))
    if len(directions) != 1 or len(groups) < 2:
        return []
    sign = 1 if directions[0] == "minimize" else -1
    (_, best), *others = sorted(groups.items())
    pairs = [each for rank, other in others if (each := compared(best, other, rank, sign))]
    if any(row.folds for row in rows):
        unit = "folds of seeds" if rows[0].seeds else "folds"
        return sentences(pairs, unit, "folds={} would do, or the same over more seeds")
    return sentences(pairs, "seeds", "it takes {} seeds")


def _figures(row: Row) -> dict[Hashable, float]:
    """A run's figures by what they are of: which rows, what seed, and which fold where there are some."""
    splits = (row.source, str(row.splits), *(str(row.params.get(key)) for key in _SPLITS))
    return {(row.seed, splits, place): value for place, value in enumerate(row.folds or row.values)}
