"""Samplers whose point depends on the trial's number: neither a restart nor a second process repeats one.

Optuna's samplers keep what they learn in the study and only their random state in the process. With one seed for
the process, a resumed sweep would draw its first points again, and two processes the same ones. So a study has a
sampler for each trial, ``SamplerOf``, with a seed of that trial's own.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from optuna.study import Study

Space = Mapping[str, BaseDistribution]
SamplerOf = Callable[[int], BaseSampler]


def stream(seed: int, *numbers: int) -> int:
    """A seed of its own for each combination of numbers."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0])


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


class Points(BaseSampler):
    """What random and grid have in common: the point of a trial follows from its number alone."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = dict(space), seed

    @abstractmethod
    def point(self, number: int) -> dict[str, Any]:
        """The point of the trial with this number, from 0 on."""

    def infer_relative_search_space(self, study: "Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, except those with a single value, which Optuna never samples."""
        return {name: distribution for name, distribution in self.space.items() if not distribution.single()}

    def sample_relative(self, study: "Study", trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """The point."""
        point = self.point(trial.number)
        return {name: point[name] for name in search_space}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: BaseDistribution) -> Any:
        """A parameter that only some trials have: drawn from the number and the parameter's name."""
        return _drawn(param_distribution, RandomSampler(stream(self.seed, trial.number, *param_name.encode())))


class Random(Points):
    """Uniform draws. In a space with finitely many points none comes twice until all have come."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self._size = size(space)
        self._points: dict[tuple[Any, ...], None] = {}  # those of a finite space, in the order of their numbers

    def point(self, number: int) -> dict[str, Any]:
        """Drawn from the seed and the number; drawn again while an earlier number has the same point."""
        if number >= self._size or self._size == inf:
            return self._draw(number, 0)
        while (following := len(self._points)) <= number:
            attempt = 0
            while (point := tuple(self._draw(following, attempt).values())) in self._points:
                attempt += 1
            self._points[point] = None
        return dict(zip(self.space, list(self._points)[number], strict=True))

    def _draw(self, number: int, attempt: int) -> dict[str, Any]:
        sampler = RandomSampler(stream(self.seed, number, attempt))
        return {name: _drawn(distribution, sampler) for name, distribution in self.space.items()}


class Grid(Points):
    """Every combination once, in order, or in an order that a seed decides.

    Raises:
        ValueError: a parameter is continuous; the argument is its name.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        super().__init__(space, seed or 0)
        self._columns: list[Sequence[Any]] = []
        for name, distribution in space.items():
            if (column := values(distribution)) is None:
                raise ValueError(name)
            self._columns.append(column)
        total = prod(len(column) for column in self._columns)
        self._order = range(total) if seed is None else np.random.default_rng(seed).permutation(total)

    def point(self, number: int) -> dict[str, Any]:
        """The combination with this number; the last parameter changes fastest."""
        shape = tuple(len(column) for column in self._columns)
        places = np.unravel_index(self._order[number % len(self._order)], shape)
        return {name: column[place] for name, column, place in zip(self.space, self._columns, places, strict=True)}


def _drawn(distribution: BaseDistribution, sampler: Any) -> Any:
    return sampler.sample_independent(None, None, "", distribution)  # it looks at neither study, nor trial, nor name
