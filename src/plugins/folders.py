"""Keeps run folders apart, and ends a sweep with what only all its runs together show."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

log = logging.getLogger(__name__)


class Folders(Callback):
    """Two launches in one second get two folders; a sweep ends with its comparison."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claims the run's folder."""
        _claim(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claims the sweep's folder."""
        _claim(config, "sweep")

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Draws the runs of the sweep over each other."""
        from src.jobs.compare import compare

        compare(Path(config.hydra.sweep.dir))


def _claim(config: DictConfig, kind: str) -> None:
    """Creates a folder that nobody else has, unless the user named one."""
    key = f"hydra.{kind}.dir"
    if any(override.startswith(key) for override in config.hydra.overrides.hydra):
        return
    hydra: Any = HydraConfig.instance()
    before, hydra.cfg = hydra.cfg, config  # ${hydra:…} inside the pattern is read from there
    try:
        wanted = Path(str(OmegaConf.select(config, key)))
    finally:
        hydra.cfg = before
    wanted.parent.mkdir(parents=True, exist_ok=True)
    number, path = 1, wanted
    while True:
        try:
            path.mkdir()
            break
        except FileExistsError:
            number += 1
            path = wanted.with_name(f"{wanted.name}-{number}")
    with read_write(config.hydra[kind]):
        config.hydra[kind].dir = str(path)
