"""Upstream's reading of an override as a distribution of Optuna; written for hydra-optuna-sweeper 1.4.

It lives in a private module there. To repeat its rules (a range of decimals, an interval's tags) would let the two
sweepers differ. Choices are read here: upstream drops their quotes, without which ``"a, b"`` is two values and ``"1"``
a number.
"""

from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, Transformer
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution

from src.errors import first_line


def distribution_of(override: Override) -> BaseDistribution:
    """What a swept override draws from; a choice's texts are as the command line has them, quoted if need be.

    Raises:
        ValueError: Optuna has no such distribution.
    """
    from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override

    try:
        sweep = override.value()
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution([_choice(each) for each in sweep.list])
        found: BaseDistribution = create_optuna_distribution_from_override(override)
        return found
    # Upstream refuses with all of these; NotImplementedError for a sweep that Optuna has no distribution for.
    except (ValueError, TypeError, AssertionError, NotImplementedError, HydraException) as error:
        raise ValueError(first_line(error) if str(error) else "cannot be swept") from error


def _choice(value: Any) -> Any:
    if isinstance(value, QuotedString):
        value = value.text
    elif not isinstance(value, str):  # a number is itself, a list becomes its text
        return Transformer.encode(value)
    override = _read(value)
    return value if override and override.value() == value else _quoted(value)


@cache
def written(value: Any) -> str:
    """A parameter's value as an override has it; a text that Hydra would not read, or would sweep, is quoted."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    override = _read(value)
    return value if override and not override.is_sweep_override() else _quoted(value)


def _read(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(f"key={text}")
    except HydraException:
        return None


def _quoted(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()
