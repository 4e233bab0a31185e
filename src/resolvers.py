"""What a configuration may compute, as in ``hidden: ${repeat:${width},${depth}}``."""

from typing import Any

from omegaconf import OmegaConf


def register() -> None:
    """Makes the resolvers known; again is harmless."""
    OmegaConf.register_resolver("repeat", _repeat, replace=True)


def _repeat(value: Any, times: int) -> list[Any]:
    return [value] * times
