"""A job of a sweep: what it trains, and where its run goes."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from src.config.values import Config, flatten
from src.runs.folder import RunFolder

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


@dataclass
class Job:
    """A job: its resolved configuration, its folder, and the task's own overrides.

    ``base``, a ``Base`` of src.stacks.compose, and ``changes`` are what it was composed of.
    """

    number: int
    cfg: Config
    folder: RunFolder
    overrides: list[str]
    base: Any = None
    changes: "tuple[Override, ...]" = ()

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The configuration by dotted names."""
        return flatten(self.cfg)
