"""Which rows come when: splits and row orders as functions of the seed, recomputed and never stored."""

import numpy as np
import torch
from torch import Tensor

from src.errors import UserError

_INDEX = np.int32  # two thousand million rows are enough, at half the memory
_SPLIT, _ORDER, _NOISE = range(3)  # one stream of random numbers for each use of a seed


def _seed(stream: int, *words: int) -> int:
    # SeedSequence keeps neighbouring seeds and epochs unrelated (O'Neill's hash, as NumPy documents it).
    return int(np.random.SeedSequence([stream, *words]).generate_state(1, np.uint64)[0])


def split(
    rows: int, val_fraction: float, test_fraction: float, seed: int, fold: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers for training, validation and test, each in file order.

    A part that is asked for has at least one row, so that whoever reads the fractions knows which parts exist. A fold,
    (place, number), is validated by its part of all rows but the test's, which every fold has in common.

    Raises:
        UserError: fewer than two rows are left for training.
    """
    val, test = (max(round(rows * share), 1) if share else 0 for share in (val_fraction, test_fraction))
    if rows - val - test < 2:
        raise UserError(
            f"data.val_fraction={val_fraction} and data.test_fraction={test_fraction} leave "
            f"{max(rows - val - test, 0)} of {rows} rows for training, expected at least 2"
        )
    if not val and not test:
        order = np.arange(rows, dtype=_INDEX)
    else:
        order = np.random.default_rng(_seed(_SPLIT, seed)).permutation(np.arange(rows, dtype=_INDEX))
    if fold is not None:
        parts = np.array_split(order[test:], fold[1])
        rest = [part for place, part in enumerate(parts) if place != fold[0]]
        return np.sort(np.concatenate(rest)), np.sort(parts[fold[0]]), np.sort(order[:test])
    return np.sort(order[val + test :]), np.sort(order[:val]), np.sort(order[val : val + test])


def row_order(rows: int, seed: int, epoch: int) -> Tensor:
    """The order of the training rows in this epoch, int32 (rows,)."""
    generator = torch.Generator().manual_seed(_seed(_ORDER, seed, epoch))
    return torch.randperm(rows, generator=generator, dtype=torch.int32)


def noise_seed(seed: int, epoch: int) -> int:
    """The seed of dropout masks in this epoch."""
    return _seed(_NOISE, seed, epoch)
