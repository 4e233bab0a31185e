"""What Hydra writes of a job and of a sweep; written for hydra-core 1.4 and OmegaConf 2.4.

Hydra writes ``.hydra/`` and ``multirun.yaml`` as they were asked for, secrets and all, and offers no hook before it:
``on_job_start`` comes after. Both go through the two functions that are wrapped here.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core import utils
from omegaconf import OmegaConf


def written_through(mask: Callable[[str], str]) -> None:
    """Has every YAML text that Hydra or OmegaConf writes into a file go through ``mask``; again is harmless."""
    hydra: Any = utils
    omegaconf: Any = OmegaConf

    def save_config(cfg: Any, filename: str, output_dir: Path) -> None:
        output_dir.mkdir(parents=True, exist_ok=True)
        save(cfg, output_dir / filename)

    def save(config: Any, f: Any, resolve: bool = False) -> None:
        text = mask(OmegaConf.to_yaml(config, resolve=resolve))
        if isinstance(f, str | os.PathLike):
            Path(f).write_text(text, encoding="utf-8")
        else:
            f.write(text)

    hydra._save_config = save_config
    omegaconf.save = staticmethod(save)
