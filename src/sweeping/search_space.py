"""The search space of a sweep, as the command line and ``hydra.sweeper.params`` give it."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution

from src.adapters.optuna_sweeper import distribution_of, written
from src.errors import UserError, first_line


@dataclass
class SearchSpace:
    """What varies, what is fixed by an override, and overrides that only delete."""

    swept: dict[str, BaseDistribution] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    deletions: list[str] = field(default_factory=list)  # such as ~scheduler

    def overrides(self, point: dict[str, Any]) -> list[str]:
        """The command line of one trial."""
        return [f"{key}={written(value)}" for key, value in (self.fixed | point).items()] + self.deletions

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
    space, parser = SearchSpace(), OverridesParser.create()
    for line in [*(f"{key}={value}" for key, value in params.items()), *arguments]:
        try:
            override = parser.parse_override(line)
            if override.is_delete():
                space.deletions.append(line)
                continue
            key = override.get_key_element()
            space.swept.pop(key, None)
            space.fixed.pop(key, None)
            if override.is_sweep_override():
                space.swept[key] = distribution_of(override)
            else:
                space.fixed[key] = override.get_value_element_as_str()
        except (ValueError, HydraException) as error:
            raise UserError(f"{line}: {first_line(error)}") from error
    return space
