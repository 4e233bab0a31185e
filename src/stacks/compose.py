"""The configurations of many jobs, composed once for all that differ in values only.

Hydra takes 50 ms to compose a configuration. A value that nothing refers to is put into Hydra's own result for
the overrides that are left; everything else goes Hydra's way.
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.core.utils import filter_overrides
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from src.adapters.hydra_compose import number_job
from src.config.keys import check_keys
from src.config.resolvers import within
from src.config.values import container, flatten, unresolved
from src.sweeping.pruning import NUMBER

_OF_THE_JOB = re.compile(r"hydra(_override_|[:.](job\.(num|id|override)|overrides|runtime\.output_dir|sweep))")
_SAME_FOR_ALL = re.compile(r"\$\{(hydra|now|oc\.env|python_version):[^${}]*\}")
# A name that is itself looked up, or a call that looks one up, may be any.
_ANY_NAME = re.compile(r"\$\{[^:}]*\$\{|\$\{oc\.")


class Structure:
    """What jobs that differ in values only have in common: Hydra's result for their other overrides."""

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        handlers = config.hydra.job_logging and config.hydra.job_logging.get("handlers")
        self.log = f"{config.hydra.job.name}.log" if handlers and "file" in handlers else None
        self.subdir = str(config.hydra.sweep._get_node("subdir")._value())  # before ${hydra.job.num} is known
        self.takes = cache(self._takes)

    @cached_property
    def task(self) -> dict[str, Any]:
        """The resolved task part, as plain values."""
        return resolved_task(self.config)

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The same by dotted names."""
        return flatten(self.task)

    @cached_property
    def sweep(self) -> str:
        """The sweep's folder, absolute."""
        return str(Path(str(within(self.config, lambda: OmegaConf.select(self.config, "hydra.sweep.dir")))).absolute())

    @cached_property
    def _names(self) -> set[str] | None:
        """Every word in an interpolation that a job resolves; None where one may read anything."""
        task = unresolved(self.config)
        sweep = task.pop("hydra")["sweep"]
        texts = [str(value) for value in flatten(task).values()]
        texts += [str(sweep["dir"]), self.subdir.replace("${hydra.job.num}", "")]
        found: set[str] = set()
        for text in (text for text in texts if "${" in text):
            rest = _SAME_FOR_ALL.sub("", text)
            if _OF_THE_JOB.search(text) or _ANY_NAME.search(rest):
                return None
            found |= set(re.findall(r"\w+", rest))
        return found

    def _takes(self, key: str, for_list: bool) -> bool:
        """Whether a value can be put in at ``key``, or at that of a list: there is one and nothing refers to it."""
        parent, _, last = key.rpartition(".")
        node = OmegaConf.select(self.config, parent) if parent else self.config
        if not isinstance(node, DictConfig) or last not in node or OmegaConf.is_interpolation(node, last):
            return False
        old = node._get_node(last)
        if isinstance(old, DictConfig) or (isinstance(old, ListConfig) and not for_list):
            return False
        return self._names is not None and not self._names & set(key.split("."))


@dataclass
class Composed:
    """The configuration of a job: its structure and its own values by dotted names."""

    number: int
    overrides: list[str]
    structure: Structure
    values: dict[str, Any]

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The resolved task configuration by dotted names."""
        return self.structure.flat | self.values

    @cached_property
    def task_overrides(self) -> list[str]:
        """The overrides that are the task's own."""
        return list(filter_overrides(self.overrides))

    @cached_property
    def folder(self) -> Path:
        """The run folder, absolute."""
        text = self.structure.subdir.replace("${hydra.job.num}", str(self.number))
        if "${" in text:
            config = self.config()
            text = str(within(config, lambda: OmegaConf.select(config, "hydra.sweep.subdir")))
        return Path(f"{self.structure.sweep}/{text}")

    @property
    def trial(self) -> int:
        """The number of the trial that this job is."""
        return int(self.structure.config.hydra.job.env_set.get(NUMBER, self.number))

    def task(self) -> dict[str, Any]:
        """The resolved task configuration."""
        task = copy.deepcopy(self.structure.task)
        for key, value in self.values.items():
            *parents, last = key.split(".")
            node = task
            for parent in parents:
                node = node[parent]
            node[last] = value
        return task

    def config(self) -> DictConfig:
        """The whole configuration, as Hydra's own composition gives it."""
        config = copy.deepcopy(self.structure.config)
        number_job(config, self.number)
        with read_write(config.hydra):
            for key, value in self.values.items():
                OmegaConf.update(config, key, value, merge=True)
            config.hydra.overrides.task = self.task_overrides
        return config


class Composer:
    """Composes the jobs of a sweep, ``master`` being the sweep's own configuration."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._parser = OverridesParser.create(config_loader=loader)
        self._structures: dict[tuple[str, ...], Structure] = {}
        self._read, self._options = cache(self._parse), cache(loader.get_group_options)

    def compose(self, number: int, overrides: Sequence[str]) -> Composed:
        """A job's configuration.

        Raises:
            HydraException: Hydra refuses the overrides.
            UserError: they set a key that nobody reads.
        """
        read = [self._read(text) for text in overrides]
        keys = [key for key, _ in read]
        values = {
            key: value for key, (plain, value) in read if plain and sum(_related(key, other) for other in keys) == 1
        }
        # A key that cannot be put in is left to Hydra; what then refers to other keys was left to it already.
        base = self._structure(tuple(text for text, key in zip(overrides, keys, strict=True) if key not in values))
        values = {
            key: value for key, value in values.items() if base.takes(key, value is None or isinstance(value, list))
        }
        base = self._structure(tuple(text for text, key in zip(overrides, keys, strict=True) if key not in values))
        return Composed(number, list(overrides), base, values)

    def _structure(self, overrides: tuple[str, ...]) -> Structure:
        if overrides not in self._structures:
            config = self._loader.load_sweep_config(self._master, list(overrides))
            check_keys(config)
            self._structures[overrides] = Structure(config)
        return self._structures[overrides]

    def _parse(self, text: str) -> tuple[str, tuple[bool, Any]]:
        """The key whose value an override changes, whether to a plain one, and to which."""
        try:
            override = self._parser.parse_override(text)
        except HydraException:  # which says what is wrong when it composes
            return "", (False, None)
        key, value = override.key_or_group, override.value()
        if isinstance(value, str) and self._options(key):
            return "", (False, None)  # a choice, made before any value
        plain = override.type == OverrideType.CHANGE and override.package is None and not key.startswith("hydra.")
        items = value if isinstance(value, list) else [value]
        plain &= all(item is None or isinstance(item, (int, float, str)) for item in items)
        return key, (plain and "$" not in text and "?" not in text, value)


def resolved_task(config: DictConfig) -> dict[str, Any]:
    """The task part as plain values, every interpolation resolved, as ``src.train`` saves it."""
    task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    within(config, lambda: OmegaConf.resolve(task))
    return container(task)


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
