"""What makes two commands the same study: direction, search space and base configuration."""

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution

# What shows or names runs and changes none of their figures.
_ASIDE = (
    "study",
    "sweep",
    "trust",
    "name",
    "figures",
    "graph",
    "logger",
    "callbacks.progress",
    "callbacks.checkpoints",
)

Identity = dict[str, dict[str, str]]


def identity(
    directions: list[str], space: dict[str, BaseDistribution], base: DictConfig, custom: str | None
) -> Identity:
    """The parts by name, each a flat dictionary of texts, so that a difference can be named.

    Args:
        directions: minimize or maximize, one for each objective.
        space: what is swept.
        base: the configuration with every fixed override and none of the swept ones.
        custom: the function that adds conditional parameters.
    """
    swept = {name: describe(distribution) for name, distribution in space.items()}
    if custom:
        swept["custom_search_space"] = custom
    flat = _flat("", OmegaConf.to_container(base, resolve=False))
    kept = {key: value for key, value in flat.items() if not any(_under(key, part) for part in (*_ASIDE, *space))}
    return {"direction": {"direction": ", ".join(directions)}, "space": swept, "base": kept}


def differences(before: Identity, now: Identity) -> list[str]:
    """Each difference as ``key: before → now``."""
    found: list[str] = []
    for part in ("direction", "space", "base"):
        old, new = before.get(part, {}), now[part]
        changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
        found += [f"{key}: {old.get(key, 'absent')} → {new.get(key, 'absent')}" for key in changed]
    return found


def describe(distribution: BaseDistribution) -> str:
    """A distribution as a person would write it."""
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({', '.join(str(choice) for choice in distribution.choices)})"
    fields = json.loads(json.dumps(distribution.__dict__, default=str))
    low, high, step = fields["low"], fields["high"], fields.get("step")
    whole = "int " if isinstance(low, int) else ""
    log = " log" if fields.get("log") else ""
    stepped = f" step {step}" if step not in (None, 1) else ""
    return f"{whole}interval({low}, {high}){log}{stepped}"


def _under(key: str, part: str) -> bool:
    return key == part or key.startswith(part + ".")


def _flat(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        return found
    return {prefix: "null" if value is None else str(value)}
