"""The configurations of many jobs, composed once per structure.

Hydra takes 50 ms to compose a configuration. Jobs whose overrides differ in plain values only get
Hydra's own result for the first of them, with the values put in; everything else goes Hydra's way.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write

from src.check import RULES, check
from src.jobs.plain import plain_value
from src.jobs.references import depends, interpolations
from src.sweeping.pruning import NUMBER
from src.values import flatten

T = TypeVar("T")

# Values that src.check holds against no other value, so that their own rule is all there is to check.
_BY_THEMSELVES = {"seed", "optimizer.lr", "optimizer.eps", "optimizer.alpha", "optimizer.betas", "model.dropout"}


@dataclass
class Structure:
    """What jobs that differ in plain values only have in common.

    ``config`` is Hydra's result for the first of them, ``task`` its resolved task part as plain values,
    ``flat`` the same by dotted names; ``keys`` are the names of the values that differ.
    """

    config: DictConfig
    task: dict[str, Any]
    flat: dict[str, Any]
    keys: tuple[str, ...]
    sweep: str  # the sweep's folder, absolute
    subdir: str  # of a job, before ${hydra.job.num} is known
    log: str | None  # the name of a job's log file, where it has one
    checked: bool = False


@dataclass
class Composed:
    """The configuration of a job: its structure and its own values."""

    number: int
    overrides: list[str]
    structure: Structure
    values: dict[str, Any] = field(default_factory=dict)

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

    def check(self) -> None:
        """Holds the values against ``src.check``'s rules.

        Raises:
            UserError: one does not fit.
        """
        if not self.structure.checked:
            check(OmegaConf.create(self.task()))
            self.structure.checked = True
            return
        # What is as in the structure's first job was checked with it; a check of the whole takes 10 ms.
        first = self.structure.flat
        own = {key: v for key, v in self.values.items() if (type(v), v) != (type(first[key]), first[key])}
        rules = [rule_of(key) for key in own]
        if any(key not in _BY_THEMSELVES for key in own) or None in rules:
            check(OmegaConf.create(self.task()))
            return
        for rule, value in zip(rules, own.values(), strict=True):
            if rule is not None and rule.complaint(value):
                check(OmegaConf.create(self.task()))  # says it in its own words

    def config(self) -> DictConfig:
        """The whole configuration, as Hydra's own composition gives it."""
        config = copy.deepcopy(self.structure.config)
        number_job(config, self.number)
        with read_write(config.hydra), open_dict(config.hydra), open_dict(config):
            for key, value in self.values.items():
                OmegaConf.update(config, key, value, merge=True)
            config.hydra.overrides.task = self.task_overrides
        return config


class Composer:
    """Composes the jobs of a sweep.

    Args:
        loader: Hydra's.
        master: the sweep's own configuration.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._structures: dict[tuple[str, ...], Structure] = {}
        self._fixed: dict[tuple[str, ...], frozenset[str]] = {}

    def compose(self, number: int, overrides: Sequence[str]) -> Composed:
        """A job's configuration.

        Raises:
            HydraException: Hydra refuses the overrides.
        """
        values = dict[str, Any]()
        pattern = []
        for text in overrides:
            key, value = plain_value(text)
            if key is not None:
                values[key] = value
            pattern.append(text if key is None else f"{key}=")
        shape = tuple(pattern)
        config = None
        if shape not in self._fixed:
            config = self._learn(shape, overrides, values)
        fixed = self._fixed[shape]
        full = tuple(t if f"{t.partition('=')[0]}" in fixed else p for t, p in zip(overrides, pattern, strict=True))
        if full not in self._structures:
            config = config or self._loader.load_sweep_config(self._master, list(overrides))
            number_job(config, number)
            self._add(full, config, tuple(key for key in values if key not in fixed))
        structure = self._structures[full]
        return Composed(number, list(overrides), structure, {key: values[key] for key in structure.keys})

    def _learn(self, shape: tuple[str, ...], overrides: Sequence[str], values: dict[str, Any]) -> DictConfig:
        """Finds out, from Hydra's result for one job, which keys may not be put in by hand."""
        config = self._loader.load_sweep_config(self._master, list(overrides))
        others = [key for text in overrides if (key := self._changed(text)) is not None]
        fixed = {
            key
            for key, value in values.items()
            if key not in others
            or sum(_related(key, other) for other in others) > 1
            or not self._is_leaf(config, key, value)
        }
        self._fixed[shape] = frozenset(fixed)
        return config

    def _add(self, full: tuple[str, ...], config: DictConfig, keys: tuple[str, ...]) -> None:
        task = resolved_task(config)
        sweep = within(config, lambda: str(OmegaConf.select(config, "hydra.sweep.dir")))
        subdir = str(config.hydra.sweep._get_node("subdir")._value())
        handlers = config.hydra.job_logging and config.hydra.job_logging.get("handlers")
        log = f"{config.hydra.job.name}.log" if handlers and "file" in handlers else None
        self._structures[full] = Structure(config, task, flatten(task), keys, str(Path(sweep).absolute()), subdir, log)

    def _changed(self, override: str) -> str | None:
        """The key of a value that an override changes; None for a choice, which Hydra makes before any value."""
        key, _, value = override.lstrip("+~").partition("=")
        key = key.partition("@")[0]
        choice = self._loader.get_group_options(key) and not value.startswith("{")
        return None if choice else key

    def _is_leaf(self, config: DictConfig, key: str, value: Any) -> bool:
        """Whether ``key`` is an existing value that nothing else refers to, and no group."""
        if key.split(".")[0] == "hydra" or self._loader.get_group_options(key.replace(".", "/")):
            return False
        parent, _, last = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if not isinstance(node, DictConfig) or last not in node or OmegaConf.is_interpolation(node, last):
            return False
        old = node._get_node(last)
        if isinstance(old, DictConfig) or (
            isinstance(old, ListConfig) and value is not None and not isinstance(value, list)
        ):
            return False
        return not any(depends(text, key) for text in interpolations(config))


def number_job(config: DictConfig, number: int) -> None:
    """What a launcher tells a job about itself."""
    with read_write(config.hydra.job), open_dict(config.hydra.job):
        config.hydra.job.id = str(number)
        config.hydra.job.num = number


def resolved_task(config: DictConfig) -> dict[str, Any]:
    """The task part as plain values, every interpolation resolved, as ``src.train`` saves it."""
    task = copy.deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    within(config, lambda: OmegaConf.resolve(task))
    container = OmegaConf.to_container(task)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def within(config: DictConfig, read: Callable[[], T]) -> T:
    """Calls ``read`` while ``${hydra:…}`` means this configuration."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(config)
    try:
        return read()
    finally:
        hydra.cfg = before


def rule_of(key: str) -> Any:
    """The rule that ``src.check`` has for a key."""
    group, _, last = key.rpartition(".")
    return RULES.get(group, {}).get(last)


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
