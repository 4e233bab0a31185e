"""Does somebody read every key of a configuration, and is every key there that is read?

What a group's ``_target_`` takes is asked where it is built; this is about the keys around it, and needs no torch.
"""

import re
from functools import cache
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.config.answers import no_key, no_option
from src.config.help import CONF
from src.config.values import flatten, unresolved
from src.errors import UserError

# What a command says of itself, and not of what it trains; and what shows a run, or keeps it.
OF_COMMAND = ("resume", "rerun", "allow_changed_data", "trust", "study")
SHOWS = ("figures", "baselines", "graph", "descent", "checks", "logger")
_APART = (*OF_COMMAND, *SHOWS, "name", "sweep", "callbacks.progress", "callbacks.checkpoints")
_SETS = ("experiment", "sweep")  # groups that leave no node of their own


@cache
def decides(key: str) -> bool:
    """Whether a training may come out otherwise by the value of a dotted key."""
    return not any(f"{key}.".startswith(f"{part}.") for part in _APART)


@cache
def _own() -> tuple[dict[str, Any], list[str]]:
    """The values of conf/train.yaml by their dotted keys, and its groups."""
    values: Any = unresolved(OmegaConf.load(CONF / "train.yaml"))
    groups = [name for default in values.pop("defaults") if isinstance(default, dict) for name in default]
    values.pop("hydra")
    return flatten(values), [name for name in groups if name not in _SETS]


def check_keys(cfg: DictConfig) -> None:
    """Holds a configuration, not yet resolved, against conf/train.yaml and its own interpolations.

    Raises:
        UserError: a key is there that nobody reads, however it was added, or a group is not there.
    """
    own, groups = _own()
    values = unresolved(cfg)
    surrounding: Any = HydraConfig.instance().cfg
    hydra = values.pop("hydra", None) or (unresolved(surrounding) if surrounding is not None else {})
    for group in groups:
        if not isinstance(values.get(group), dict):
            raise no_option(group, "null" if values.get(group) is None else str(values[group]))
    around = flatten({name: value for name, value in values.items() if name not in groups})
    for key in own:
        if not any(name == key or name.startswith(f"{key}.") for name in around):
            raise UserError(f"{key} is missing, and is needed: expected {key}=…")
    asked: set[str] | None = None
    for key in around:
        if any(key == name or key.startswith(f"{name}.") for name in own):  # a value there is held against its rule
            continue
        if asked is None:
            texts = " ".join(str(value) for value in [*flatten(values).values(), *flatten(hydra).values()])
            asked = set(re.findall(r"[\w.]*\w", " ".join(re.findall(r"\$\{[^}]*\}?", texts))))
        if not any(_reads(name.lstrip("."), key) for name in asked):
            raise UserError(no_key(key, cfg).replace("there is no such key", "nobody reads it"))


def _reads(name: str, key: str) -> bool:
    """Whether an interpolation of that name, absolute or relative, reads a key."""
    return key == name or key.startswith(f"{name}.") or key.endswith(f".{name}")
