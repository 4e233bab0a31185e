"""The search space of a sweep, as the command line and ``hydra.sweeper.params`` give it."""

from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from src.errors import UserError


@dataclass(frozen=True)
class SearchSpace:
    """What varies, what is fixed by an override, and overrides that only delete.

    Args:
        swept: distributions by key.
        fixed: values by key, as text.
        deletions: overrides such as ``~scheduler``.
    """

    swept: dict[str, BaseDistribution]
    fixed: dict[str, Any]
    deletions: list[str]

    def overrides(self, point: dict[str, Any]) -> list[str]:
        """The command line of one trial."""
        return [f"{key}={value}" for key, value in (self.fixed | point).items()] + self.deletions

    def probes(self) -> list[dict[str, Any]]:
        """Points that between them meet every choice: what has to compose for every trial to compose."""
        first = {key: _first(distribution) for key, distribution in self.swept.items()}
        points = [first]
        for key, distribution in self.swept.items():
            if isinstance(distribution, CategoricalDistribution):
                points += [first | {key: choice} for choice in distribution.choices[1:]]
        return points


def parse(params: dict[str, Any] | None, arguments: list[str]) -> SearchSpace:
    """Reads ``hydra.sweeper.params`` and, over it, the command line, as upstream's sweeper does.

    Raises:
        UserError: an interval is upside down or empty, logarithmic from 0, or no sweep that Optuna knows.
    """
    from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides

    swept: dict[str, BaseDistribution] = {}
    fixed: dict[str, Any] = {}
    deletions: list[str] = []
    for line in [f"{key}={value}" for key, value in (params or {}).items()] + list(arguments):
        try:
            some_swept, some_fixed, some_deletions = create_params_from_overrides([line])
        # Upstream refuses with all of these; NotImplementedError for a sweep that Optuna has no distribution for.
        except (ValueError, TypeError, AssertionError, NotImplementedError, HydraException) as error:
            raise UserError(f"{line}: {_why(line, error)}") from error
        for key in some_swept.keys() | some_fixed.keys():
            swept.pop(key, None)
            fixed.pop(key, None)
        swept |= some_swept
        fixed |= some_fixed
        deletions += some_deletions
    return SearchSpace(swept, fixed, deletions)


def _first(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))  # Optuna knows no other
    return distribution.low


def _why(line: str, error: Exception) -> str:
    """Says an impossible interval as a person would; anything else in the library's own words."""
    from hydra.core.override_parser.types import IntervalSweep

    try:
        override = OverridesParser.create().parse_override(line)
        value = override.value()
    except HydraException:
        value = None
    if isinstance(value, IntervalSweep):
        start, end = value.start, value.end
        assert start is not None
        assert end is not None
        if start > end:
            return f"the interval is upside down, expected interval({end},{start})"
        if "log" in value.tags and start <= 0:
            return f"a logarithmic interval starts above 0, found {start}"
    lines = [part for part in str(error).splitlines() if part.strip()]
    return lines[0] if lines else "cannot be swept"
