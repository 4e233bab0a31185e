"""A job of a sweep."""

from dataclasses import dataclass

from src.config.values import Config
from src.runs.folder import RunFolder


@dataclass
class Job:
    """A job of a sweep: its resolved configuration, and where its run goes."""

    number: int
    cfg: Config
    folder: RunFolder
    overrides: list[str]
