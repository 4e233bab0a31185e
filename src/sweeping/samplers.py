"""Samplers whose point depends on the trial's number: neither a restart nor a second process repeats one."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import inf, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from optuna.study import Study

Space = Mapping[str, BaseDistribution]


def stream(seed: int, *numbers: int) -> int:
    """A seed of its own for each combination of numbers."""
    return int(np.random.SeedSequence([seed, *numbers]).generate_state(1)[0])


def size(space: Space) -> float:
    """How many points a space has; infinity where a parameter is continuous."""
    return prod((_count(distribution) for distribution in space.values()), start=1.0)


def _count(distribution: BaseDistribution) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    if distribution.single():
        return 1
    if distribution.step is None:
        return inf
    return round((distribution.high - distribution.low) / distribution.step) + 1


def values(name: str, distribution: BaseDistribution) -> list[Any]:
    """Every value of a discrete parameter, in order.

    Raises:
        ValueError: it is continuous.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    count = _count(distribution)
    if count == inf:
        raise ValueError(name)
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    step = distribution.step or 0
    return [distribution.low + step * index for index in range(int(count))]


class Points(BaseSampler):
    """What random and grid have in common: the point of a trial follows from its number alone.

    Args:
        space: the parameters.
        seed: of the order.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = dict(space)
        self.seed = seed

    @abstractmethod
    def point(self, number: int) -> dict[str, Any]:
        """The point of the trial with this number, from 0 on."""

    def infer_relative_search_space(self, study: "Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters, except those with a single value, which Optuna never samples."""
        return {name: d for name, d in self.space.items() if not d.single()}

    def sample_relative(
        self, study: "Study", trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The point."""
        point = self.point(trial.number)
        return {name: point[name] for name in search_space}

    def sample_independent(
        self, study: "Study", trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that only some trials have: drawn from the number and the parameter's name."""
        letters = list(param_name.encode())
        drawn = RandomSampler(seed=stream(self.seed, trial.number, *letters))
        return drawn.sample_independent(study, trial, param_name, param_distribution)


class Random(Points):
    """Uniform draws. In a space with finitely many points none comes twice until all have come."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self._size = size(space)
        self._points: list[dict[str, Any]] = []
        self._seen: set[tuple[Any, ...]] = set()

    def point(self, number: int) -> dict[str, Any]:
        """Drawn from the seed and the number; drawn again while an earlier number has the same point."""
        if self._size == inf:
            return self._draw(number, 0)
        while len(self._points) <= number:
            following, attempt = len(self._points), 0
            fresh = following < self._size
            while True:
                point = self._draw(following, attempt)
                if not fresh or tuple(point.values()) not in self._seen:
                    break
                attempt += 1
            self._seen.add(tuple(point.values()))
            self._points.append(point)
        return self._points[number]

    def _draw(self, number: int, attempt: int) -> dict[str, Any]:
        sampler = RandomSampler(seed=stream(self.seed, number, attempt))
        draw: Any = sampler.sample_independent  # it looks at neither study nor trial
        return {name: draw(None, None, name, distribution) for name, distribution in self.space.items()}


class Grid(Points):
    """Every combination once, in order, or in an order that a seed decides.

    Raises:
        ValueError: a parameter is continuous; the argument is its name.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        super().__init__(space, seed or 0)
        self._values = [values(name, distribution) for name, distribution in space.items()]
        self._counts = [len(column) for column in self._values]
        total = prod(self._counts)
        self._order: Sequence[int] = range(total)
        if seed is not None:
            self._order = np.random.default_rng(seed).permutation(total).tolist()

    def point(self, number: int) -> dict[str, Any]:
        """The combination with this number; the last parameter changes fastest."""
        index = self._order[number % len(self._order)]
        chosen = []
        for column in reversed(self._values):
            index, place = divmod(index, len(column))
            chosen.append(column[place])
        return dict(zip(self.space, reversed(chosen), strict=True))


class Reseeded(BaseSampler):
    """Any Optuna sampler, started anew for each trial with a seed of that trial's own.

    Optuna's samplers keep what they learn in the study and only their random state in the process. With one
    seed for the process, a resumed sweep would draw its first points again, and two processes the same ones.

    Args:
        make: the sampler's class, called with ``seed``.
        seed: what all trials' seeds derive from.
    """

    def __init__(self, make: Callable[..., BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed=seed)

    def before_trial(self, study: "Study", trial: FrozenTrial) -> None:
        """Starts the sampler of this trial."""
        self._sampler = self._make(seed=stream(self._seed, trial.number))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: "Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The sampler's."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: "Study", trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: "Study", trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The sampler's."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: "Study", trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """The sampler's."""
        self._sampler.after_trial(study, trial, state, values)
