"""Which rows come when: splits and row orders as functions of the seed, recomputed and never stored."""

from math import ceil

import numpy as np
import torch
from torch import Tensor

from src.data.table import Table
from src.errors import UserError

_INDEX = np.int32  # two thousand million rows are enough, at half the memory
_SPLIT, _ORDER, _NOISE = range(3)  # one stream of random numbers for each use of a seed


def _seed(stream: int, *words: int) -> int:
    # SeedSequence keeps neighbouring seeds and epochs unrelated (O'Neill's hash, as NumPy documents it).
    return int(np.random.SeedSequence([stream, *words]).generate_state(1, np.uint64)[0])


def split(
    table: Table, val_fraction: float, test_fraction: float, seed: int, fold: tuple[int, int] | None = None
) -> tuple[np.ndarray, ...]:
    """Row numbers for training, validation and test, each in file order.

    Groups stay whole, and of ordered times the last are test rows and those before them validation. Where the table has
    a column of parts, the fractions say only which of them there are, and draw those that it does not name from its
    training rows. A part that is asked for has at least one row, so that whoever reads the fractions knows which parts
    exist. A fold, (place, number), is validated by its part of all rows but the test's, which folds have in common.

    Raises:
        UserError: fewer than two rows are left for training, or the column names a part that the fractions have not.
    """
    wanted = {"val": val_fraction, "test": test_fraction}
    found: dict[str, np.ndarray] = {}
    free = np.arange(len(table), dtype=_INDEX)
    if table.split is not None:
        for part in ("val", "test"):
            if len(rows := free[table.split == part]):
                if not wanted[part]:
                    raise UserError(f"data.split: gives {len(rows)} {part} rows, found data.{part}_fraction=0")
                found[part], wanted[part] = rows, 0
        free = free[table.split == "train"]
    if fold is not None:
        del wanted["val"]
        free = np.union1d(free, found.pop("val", free[:0]))
    rows, start = len(free), 0
    if any(wanted.values()):
        free, ends = _ordered(table, free, seed)
        for part in sorted(wanted, reverse=table.time is None):  # of times the last are for the test
            if share := wanted[part]:
                stop = start + max(round(rows * share), 1)
                if ends is not None:
                    later = ends[ends > start]
                    stop = _nearest(later, stop) if len(later) else rows
                stop = min(stop, rows)
                found[part] = np.sort(free[start:stop])
                start = stop
    free = np.sort(free[start:])
    if fold is not None:
        order, ends = _ordered(table, free, seed)
        shares = [len(free) * place / fold[1] for place in (fold[0], fold[0] + 1)]
        start, stop = (_nearest(ends, share) if share else 0 for share in shares)
        if start == stop:
            raise UserError(f"folds={fold[1]}: expected at most as many as there are groups of rows")
        found["val"], free = np.sort(order[start:stop]), np.sort(np.delete(order, slice(start, stop)))
    if len(free) < 2:
        raise UserError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave "
            f"{len(free)} of {len(table)} rows for training, expected at least 2"
        )
    return free, found.get("val", free[:0]), found.get("test", free[:0])


def _nearest(ends: np.ndarray | None, wanted: float) -> int:
    """The end that is nearest to a number of rows, of two the smaller."""
    return max(ceil(wanted - 0.5), 1) if ends is None else int(ends[np.abs(ends - wanted).argmin()])


def _ordered(table: Table, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows in the order in which they are handed out, and after how many of them a part may end; None: after each."""
    generator = np.random.default_rng(_seed(_SPLIT, seed))
    if table.group is None and table.time is None:
        return generator.permutation(rows), None
    if table.group is None:
        rank = -np.asarray(table.time)[rows]
    else:
        groups, member = np.unique(table.group[rows], return_inverse=True)  # who has none is in one group
        rank = generator.permutation(len(groups))[member]
    order = np.argsort(rank, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(rank[order])) + 1, len(rows))
    return rows[order], ends


def row_order(rows: int, seed: int, epoch: int) -> Tensor:
    """The order of the training rows in this epoch, int32 (rows,)."""
    generator = torch.Generator().manual_seed(_seed(_ORDER, seed, epoch))
    return torch.randperm(rows, generator=generator, dtype=torch.int32)


def noise_seed(seed: int, epoch: int) -> int:
    """The seed of dropout masks in this epoch."""
    return _seed(_NOISE, seed, epoch)
