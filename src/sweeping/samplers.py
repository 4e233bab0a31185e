"""Samplers whose point depends on the trial's number: neither a restart nor a second process repeats one.

Optuna's samplers keep what they learn in the study and only their random state in the process. With one seed for
the process, a resumed sweep would draw its first points again, and two processes the same ones. So a study has a
sampler for each trial, ``SamplerOf``, with a seed of that trial's own.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from optuna.study import Study

Space = Mapping[str, BaseDistribution]
SamplerOf = Callable[[int], BaseSampler]

MOST = 1_000_000  # points whose order is drawn; of more, as many trials as anybody has draw hardly one twice


def stream(seed: int, number: int) -> int:
    """A seed of its own for each trial."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def size(space: Space) -> float:
    """How many points a space has; infinity where a parameter is continuous."""
    columns = [values(distribution) for distribution in space.values()]
    return prod(inf if column is None else len(column) for column in columns)


def values(distribution: BaseDistribution) -> Sequence[Any] | None:
    """Every value of a parameter, in order; None where it is continuous."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, (IntDistribution, FloatDistribution))  # Optuna knows no other
    low, high, step = distribution.low, distribution.high, distribution.step
    if distribution.single():
        return [low]
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    return None if step is None else [low + step * index for index in range(round((high - low) / step) + 1)]


class Grid(BaseSampler):
    """Every combination once, in order, or in the order that a seed draws; then again.

    Raises:
        ValueError: a parameter is continuous; the argument is its name.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        self.space = dict(space)
        self._columns: list[Sequence[Any]] = []
        for name, distribution in space.items():
            if (column := values(distribution)) is None:
                raise ValueError(name)
            self._columns.append(column)
        total = int(size(space))
        self._order = range(total) if seed is None else np.random.default_rng(seed).permutation(total)

    def point(self, number: int) -> dict[str, Any]:
        """The combination of the trial with this number, from 0 on; in order, the last parameter changes fastest."""
        shape = tuple(len(column) for column in self._columns)
        places = np.unravel_index(self._order[number % len(self._order)], shape)
        return {name: column[place] for name, column, place in zip(self.space, self._columns, places, strict=True)}

    def infer_relative_search_space(self, study: "Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, except those with a single value, which Optuna never samples."""
        return {name: distribution for name, distribution in self.space.items() if not distribution.single()}

    def sample_relative(self, study: "Study", trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """The point."""
        point = self.point(trial.number)
        return {name: point[name] for name in search_space}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: BaseDistribution) -> Any:
        """No parameter is left to this."""
        raise NotImplementedError(param_name)
