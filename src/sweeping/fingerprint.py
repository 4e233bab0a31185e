"""What makes two commands the same study: direction, search space and base configuration."""

from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from src.config.keys import decides
from src.config.values import flatten, unresolved
from src.secrets import masked

Fingerprint = dict[str, str]


def fingerprint(
    directions: list[str], space: dict[str, BaseDistribution], base: DictConfig, custom: str | None
) -> Fingerprint:
    """What decides a sweep's results, as texts by name, so that a difference can be named.

    ``base`` has every fixed override and none of the swept ones; ``custom`` names what adds conditional parameters.
    """
    kept = flatten(unresolved(base)).items()
    return (
        {"direction": ", ".join(directions)}
        | {name: describe(distribution) for name, distribution in space.items()}
        | ({"custom_search_space": custom} if custom else {})
        | {
            key: "null" if value is None else str(masked(value, key))
            for key, value in kept
            if decides(key) and not any(f"{key}.".startswith(f"{part}.") for part in space)
        }
    )


def differences(before: Fingerprint, now: Fingerprint) -> list[str]:
    """Each difference as ``key: before → now``; an older study may hold keys that decide nothing."""
    return [
        f"{key}: {before.get(key, 'absent')} → {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and decides(key)
    ]


def describe(distribution: BaseDistribution) -> str:
    """A distribution as a person would write it."""
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({', '.join(map(str, distribution.choices))})"
    assert isinstance(distribution, (FloatDistribution, IntDistribution))  # Optuna knows no other
    whole = "int " if isinstance(distribution.low, int) else ""
    log = " log" if distribution.log else ""
    step = "" if distribution.step in (None, 1) else f" step {distribution.step}"
    return f"{whole}interval({distribution.low}, {distribution.high}){log}{step}"
