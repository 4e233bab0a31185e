"""A configuration as plain values: nested mappings with attributes, made a hundred times as fast as OmegaConf's."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError


class Values(dict[str, Any]):
    """A mapping whose keys are attributes, too; mappings within are such, lists stay lists."""

    @classmethod
    def of(cls, values: Mapping[Any, Any]) -> "Values":
        """The same values; a copy as deep as there are mappings."""
        return cls({str(key): cls.of(value) if isinstance(value, Mapping) else value for key, value in values.items()})

    def __getattr__(self, name: str) -> Any:
        """The value of a key."""
        try:
            return self[name]
        except KeyError:
            raise _missing(name) from None


def _missing(name: str) -> ConfigAttributeError:
    """What OmegaConf's own nodes raise, so that whoever made the configuration hears the same."""
    error = ConfigAttributeError(f"Missing key {name}")
    error.key = name
    return error


Config = DictConfig | Values


def targets(cfg: Config) -> list[str]:
    """The columns that ``data.target`` names; none of data that has no such key."""
    named = cfg.data.get("target")
    return [named] if isinstance(named, str) else list(named) if isinstance(named, (list, ListConfig)) else []


def container(node: Any) -> dict[str, Any]:
    """A node as nested dicts and lists of plain values, every interpolation resolved."""
    return {str(key): value for key, value in resolved(node).items()}


def unresolved(node: DictConfig | ListConfig) -> Any:
    """A node as nested dicts and lists, every interpolation as it is written."""
    return OmegaConf.to_container(node, resolve=False)


def resolved(value: Any) -> Any:
    """A value as nested dicts and lists of plain ones."""
    if isinstance(value, str | int | float | None):  # most are, and to ask OmegaConf takes longer
        return value
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    return {str(key): resolved(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names; lists stay values."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            found.update(flatten(value, name))
        else:
            found[name] = value
    return found
