"""Hydra's own way of putting a value into a composed configuration; written for Hydra 1.4 and OmegaConf 2.4.

Publicly Hydra only composes from the start, 50 ms a job. The step that applies ``key=value`` to what it has composed is
a private static method and takes 40 µs. Without it, jobs that differ in values would each be composed whole.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
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


def config_dir(hydra: Any = None) -> list[str]:
    """``--config-dir DIR`` where a command named a folder of configuration, by a path from the current one if below it.

    Args:
        hydra: the command's ``hydra`` node; None: that of this process, if there is one.
    """
    if hydra is None:
        surrounding: Any = HydraConfig.instance().cfg
        hydra = surrounding.hydra if surrounding is not None else {"runtime": {"config_sources": []}}
    # The provider is a word of Hydra's own, in no document.
    sources = hydra["runtime"]["config_sources"]
    found = [Path(each["path"]) for each in sources if each["provider"] == "command-line"]
    for path in found[:1]:
        return ["--config-dir", str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)]
    return []
