"""A job of a sweep."""

from dataclasses import dataclass

from src.results.folder import RunFolder
from src.values import Config


@dataclass
class Job:
    """A job of a sweep: its resolved configuration, and where its run goes."""

    number: int
    cfg: Config
    folder: RunFolder
    overrides: list[str]
