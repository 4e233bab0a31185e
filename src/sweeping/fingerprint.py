"""What makes two commands the same study: direction, search space and base configuration."""

from omegaconf import DictConfig
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from src.config.values import flatten, unresolved

# What shows or names runs and changes none of their figures.
_SHOWING = ("callbacks.progress", "callbacks.checkpoints")
_ASIDE = ("study", "sweep", "trust", "name", "figures", "graph", "logger", *_SHOWING)

Identity = dict[str, dict[str, str]]


def identity(
    directions: list[str], space: dict[str, BaseDistribution], base: DictConfig, custom: str | None
) -> Identity:
    """The parts by name, each a flat dictionary of texts, so that a difference can be named.

    ``base`` has every fixed override and none of the swept ones; ``custom`` names what adds conditional parameters.
    """
    swept = {name: describe(distribution) for name, distribution in space.items()}
    if custom:
        swept["custom_search_space"] = custom
    kept = {
        key: "null" if value is None else str(value)
        for key, value in flatten(unresolved(base)).items()
        if not any(f"{key}.".startswith(f"{part}.") for part in (*_ASIDE, *space))
    }
    return {"direction": {"direction": ", ".join(directions)}, "space": swept, "base": kept}


def differences(before: Identity, now: Identity) -> list[str]:
    """Each difference as ``key: before → now``."""
    return [
        f"{key}: {old.get(key, 'absent')} → {new.get(key, 'absent')}"
        for old, new in ((before.get(part, {}), now[part]) for part in ("direction", "space", "base"))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
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
