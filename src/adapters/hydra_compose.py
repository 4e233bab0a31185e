"""Hydra's own way of putting a value into a composed configuration; written for Hydra 1.4 and OmegaConf 2.4.

Publicly Hydra only composes from the start, 50 ms a job. The step that applies ``key=value`` to what it has composed is
a private static method and takes 40 µs. Without it, jobs that differ in values would each be composed whole.
"""

from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict, read_write


def apply(overrides: Sequence[Override], config: DictConfig) -> None:
    """Changes values of a composed configuration in place, as Hydra does when it composes.

    Raises:
        ConfigCompositionException: a key does not exist or does not take its value.
    """
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)


def number_job(config: DictConfig, number: int) -> None:
    """What a launcher tells a job about itself."""
    with read_write(config.hydra.job), open_dict(config.hydra.job):
        config.hydra.job.id = str(number)
        config.hydra.job.num = number


def written_pattern(config: DictConfig, of: str = "subdir") -> str:
    """``hydra.sweep.subdir``, or ``dir``, as it is written, its interpolations unresolved."""
    return str(config.hydra.sweep._get_node(of)._value())
