"""What Python adds to a command: a table that was handed over, and where the command wrote."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from src.config.resolvers import within
from src.errors import refuse

_WORDS = ("null", "true", "false", "nan", "inf")  # that mean something else than themselves


class Rows(Callback):
    """Brings a table into the folder of its run or sweep, after ``Folders`` made that ready.

    From there on the command is one that reads a file, and can be given again.

    Args:
        table: a Parquet file, as ``data.path`` names it; None where there is none.
        told: a file in which the folder is written down; None where nobody asks.
    """

    def __init__(self, table: str | None = None, told: str | None = None) -> None:
        self.table, self.told = table, told

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """See the class."""
        self._settle(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """See the class."""
        self._settle(config, "sweep")

    def _settle(self, config: DictConfig, kind: str) -> None:
        folder = Path(str(within(config, lambda: OmegaConf.select(config, f"hydra.{kind}.dir"))))
        try:
            if self.told:
                Path(self.told).write_text(str(folder.absolute()), encoding="utf-8")
            if self.table:
                _bring(Path(self.table), folder, config)
        except OSError as error:
            refuse(f"{folder} cannot be written: {error.strerror}")


def _bring(table: Path, folder: Path, config: DictConfig) -> None:
    target = folder / table.name
    if not target.is_file():  # of the same name are the same rows
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        copyfile(table, partial)
        os.replace(partial, target)
    task = config.hydra.overrides.task
    with read_write(config), read_write(task):
        config.data.path = str(target)
        task[task.index(override("data.path", table))] = override("data.path", target)


def override(key: str, value: str | Path | Sequence[str]) -> str:
    """A text, whatever is in it, or a list of them, as an override; quoted where it might be read as something else."""
    spelled = _spelled(value) if isinstance(value, str | Path) else f"[{','.join(map(_spelled, value))}]"
    return f"{key}={spelled}"


def _spelled(value: str | Path) -> str:
    text = str(value)
    plain = re.fullmatch(r"/?[a-z_][\w./-]*", text, re.ASCII | re.IGNORECASE) and text.lower() not in _WORDS
    return text if plain else QuotedString(text, Quote.single).with_quotes()
