"""YAML as OmegaConf reads it, without the nodes that it makes of the values; written for OmegaConf 2.4."""

from typing import IO, Any

import yaml
from omegaconf._yaml import get_yaml_loader


def values(file: IO[str]) -> Any:
    """The plain values of a file: what ``OmegaConf.load`` makes nodes of, which takes ten times as long.

    Raises:
        yaml.YAMLError: it is no YAML, or its aliases expand to more than OmegaConf takes.
    """
    return yaml.load(file, Loader=get_yaml_loader())
