"""The search space of a sweep, as the command line and ``hydra.sweeper.params`` give it."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution

from src.errors import UserError, first_line


@dataclass(frozen=True)
class SearchSpace:
    """What varies, what is fixed by an override, and overrides that only delete."""

    swept: dict[str, BaseDistribution]
    fixed: dict[str, Any]  # as text
    deletions: list[str]  # such as ~scheduler

    def overrides(self, point: dict[str, Any]) -> list[str]:
        """The command line of one trial."""
        return [f"{key}={value}" for key, value in (self.fixed | point).items()] + self.deletions

    def probes(self, groups: Container[str]) -> list[dict[str, Any]]:
        """Points that between them choose every option of the groups: where they compose, every trial does."""
        choices = {
            # Optuna's other distributions are numbers, and only their common base does not say that they have a low.
            key: distribution.choices if isinstance(distribution, CategoricalDistribution) else (distribution.low,)  # type: ignore[attr-defined]
            for key, distribution in self.swept.items()
        }
        first = {key: values[0] for key, values in choices.items()}
        others = [(key, value) for key, values in choices.items() if key in groups for value in values[1:]]
        return [first, *(first | {key: value} for key, value in others)]


def parse(params: dict[str, Any], arguments: list[str]) -> SearchSpace:
    """Reads ``hydra.sweeper.params`` and, over it, the command line, as upstream's sweeper does.

    Raises:
        UserError: an interval is upside down or empty, logarithmic from 0, or no sweep that Optuna knows.
    """
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

    space = SearchSpace({}, {}, [])
    for line in [*(f"{key}={value}" for key, value in params.items()), *arguments]:
        try:
            swept, fixed, deletions = create_params_from_overrides([line])
        # Upstream refuses with all of these; NotImplementedError for a sweep that Optuna has no distribution for.
        except (ValueError, TypeError, AssertionError, NotImplementedError, HydraException) as error:
            said = first_line(error) if str(error) else "cannot be swept"
            raise UserError(f"{line}: {said}") from error
        for key in swept.keys() | fixed.keys():
            space.swept.pop(key, None)
            space.fixed.pop(key, None)
        space.swept.update(swept)
        space.fixed.update(fixed)
        space.deletions.extend(deletions)
    return space
