"""python -m src.runs.join: one more process of a run, started by its first and told by it what to train.

It reads the configuration from standard input, as ``src.runs.ranks`` writes it, and writes nothing.
"""

import json
import os
import sys
import traceback
from typing import Any

from omegaconf import OmegaConf

from src.adapters.lightning_import import import_lightning
from src.config import build
from src.runs.folder import RunFolder


def join() -> None:
    """Trains along; an error ends the process at once, because others wait for it."""
    said = json.loads(sys.stdin.read())
    cfg: Any = OmegaConf.create(said["config"])
    try:
        import_lightning()
        from src.runs.fit import fit

        own = (lambda: None) if said["own"] else None  # the first process has changed what is to be changed
        fit(cfg, build.table(cfg), RunFolder(said["folder"]), "", [], figures=False, own=own)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    join()
