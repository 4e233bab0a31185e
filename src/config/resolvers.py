"""What a configuration may compute, as in ``hidden: ${repeat:${width},${depth}}``."""

from collections.abc import Callable
from typing import Any, TypeVar

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

T = TypeVar("T")

_MOST = 10_000  # layers of a net


def register() -> None:
    """Makes the resolvers known; again is harmless."""
    OmegaConf.register_resolver("repeat", _repeat, replace=True)
    OmegaConf.register_resolver("share", _share, replace=True)


def _repeat(value: Any, times: int) -> list[Any]:
    if times > _MOST:
        raise ValueError(f"repeat makes a list of {_MOST:,} at most, not of {times:,}")
    return [value] * times


def _share(part: float, whole: int) -> int:
    """A whole number of epochs; 0 of -1, which is no number of epochs."""
    return max(int(part * whole), 0)


def within(config: DictConfig, read: Callable[[], T]) -> T:
    """Calls ``read`` while ``${hydra:…}`` means this configuration."""
    hydra: Any = HydraConfig.instance()
    before, hydra.cfg = hydra.cfg, config
    try:
        return read()
    finally:
        hydra.cfg = before
