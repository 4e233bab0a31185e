"""The configurations of many jobs: Hydra composes one in full, and the others by the values in which they differ."""

import copy
import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import filter_overrides
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from src.adapters.hydra_compose import apply, number_job, written_pattern
from src.config.keys import check_keys
from src.config.resolvers import within
from src.config.values import Values, container, unresolved
from src.errors import UserError
from src.runs.folder import RunFolder
from src.stacks.job import Job

log = logging.getLogger(__name__)

Failure = HydraException | OmegaConfBaseException | UserError


class Base:
    """What Hydra composed for the first of some jobs; the others have values of their own at the same keys.

    Args:
        config: that job's whole configuration; then that of whichever job was asked for last.
        changed: the keys.
    """

    def __init__(self, config: DictConfig, changed: Sequence[str]) -> None:
        self.config = config
        handlers = config.hydra.job_logging and config.hydra.job_logging.get("handlers")
        self.log = f"{config.hydra.job.name}.log" if handlers and "file" in handlers else None
        number_job(config, 0)
        OmegaConf.set_readonly(config.hydra, False)
        # What holds no interpolation and none of the keys is the same for every job, and most of the configuration. So
        # are the choices, which are no values.
        tops = {key.partition(".")[0] for key in changed}
        tree = {str(key): repr(value) for key, value in unresolved(config).items() if key != "hydra"}
        texts = {key: text.replace("${hydra:runtime.choices.", "") for key, text in tree.items()}
        self._moving = [key for key, text in texts.items() if key in tops or "${" in text]
        self._by_number = written_pattern(config) == "${hydra.job.num}"
        self._looks_up = not self._by_number or any("hydra" in texts[key] for key in self._moving)
        # So is the folder of a sweep that names only what stays; to look it up costs more than all values.
        names = "|".join(re.escape(key) for key in tree if key not in self._moving)
        rest = re.sub(rf"\$\{{(now:[^${{}}]*|{names})\}}", "", written_pattern(config, "dir"))
        self._dir = None if "${" in rest else within(config, lambda: str(config.hydra.sweep.dir))
        # Those that move are here for their place alone.
        self._still = within(config, lambda: {k: None if k in self._moving else _value(config, k) for k in tree})

    def job(self, number: int, overrides: list[str], changes: tuple[Override, ...]) -> Job:
        """The job of this base that changes these values.

        Raises:
            HydraException, OmegaConfBaseException: a value does not fit its key, or an interpolation leads nowhere.
        """
        job = Job(number, Values(), RunFolder(""), overrides, self, changes)
        config = self.config
        if self._looks_up:
            self.become(job)
        else:
            apply(changes, config)

        def read() -> None:
            job.cfg = Values.of({**self._still, **{key: _value(config, key) for key in self._moving}})
            subdir = str(number) if self._by_number else config.hydra.sweep.subdir
            job.folder = RunFolder(Path(self._dir or config.hydra.sweep.dir, subdir).absolute())

        within(config, read)
        return job

    def become(self, job: Job) -> DictConfig:
        """A job's whole configuration, until another's is asked for."""
        config = self.config
        apply(job.changes, config)
        config.hydra.job.num, config.hydra.job.id = job.number, str(job.number)
        config.hydra.overrides.task = job.overrides
        return config

    def whole(self, job: Job) -> DictConfig:
        """A job's whole configuration, its folder included, to be kept."""
        config = copy.deepcopy(self.become(job))
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(job.folder.path)
        return config


class Composer:
    """Composes the jobs of a sweep, ``master`` being the sweep's own configuration."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._read = cache(OverridesParser.create(config_loader=loader).parse_override)
        self._options = cache(loader.get_group_options)
        self.bases: dict[Any, Base] = {}

    def compose(self, jobs: Mapping[int, Sequence[str]]) -> dict[int, Job | Failure]:
        """Each job by its number, or why Hydra refuses it. Of each base one job is held against Hydra's own result."""
        found = {number: self._tried(number, overrides, self._by_values) for number, overrides in jobs.items()}
        by_base: dict[int, list[Job]] = {}
        for job in found.values():
            if isinstance(job, Job):
                by_base.setdefault(id(job.base), []).append(job)
        for *others, sample in by_base.values():
            whole = self._tried(sample.number, jobs[sample.number], self._in_full) if others else sample
            if not isinstance(whole, Job) or (repr(whole.cfg), whole.folder.path) != (
                repr(sample.cfg),
                sample.folder.path,
            ):
                log.warning("jobs like #%d are composed in full: their values alone lead elsewhere", sample.number)
                found |= {
                    job.number: self._tried(job.number, jobs[job.number], self._in_full) for job in (*others, sample)
                }
        return found

    def _tried(self, number: int, overrides: Sequence[str], how: Any) -> Job | Failure:
        try:
            return how(number, list(overrides))
        except (HydraException, OmegaConfBaseException, UserError) as error:
            return error

    def _in_full(self, number: int, overrides: list[str]) -> Job:
        """A job as Hydra alone composes it."""
        config = self._loader.load_sweep_config(self._master, overrides)
        job = Base(config, ()).job(number, list(filter_overrides(overrides)), ())
        job.cfg = Values.of(resolved_task(config))
        return job

    def _by_values(self, number: int, overrides: list[str]) -> Job:
        read = [self._read(text) for text in overrides]
        # Choices are made before any value is set.
        values = [each.key_or_group for each in read if not self._is_choice(each)]
        frees = [self._is_free(each) and sum(_related(each.key_or_group, key) for key in values) == 1 for each in read]
        kept = tuple(each.key_or_group if free else each.input_line for each, free in zip(read, frees, strict=True))
        changes = tuple(each for each, free in zip(read, frees, strict=True) if free)
        if kept not in self.bases:
            config = self._loader.load_sweep_config(self._master, overrides)
            check_keys(config)
            self.bases[kept] = Base(config, [each.key_or_group for each in changes])
        return self.bases[kept].job(number, list(filter_overrides(overrides)), changes)

    def _is_choice(self, override: Override) -> bool:
        return isinstance(override.value(), str) and bool(self._options(override.key_or_group))

    def _is_free(self, override: Override) -> bool:
        """Whether an override sets a value, wholly, whatever was there: no choice, no mapping, nothing of Hydra's."""
        sets = override.type == OverrideType.CHANGE and override.package is None
        sets = sets and not isinstance(override.value(), dict) and not override.key_or_group.startswith("hydra.")
        return sets and not self._is_choice(override)


def resolved_task(config: DictConfig) -> dict[str, Any]:
    """The task part as plain values, every interpolation resolved, as ``src.train`` saves it."""
    task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    within(config, lambda: OmegaConf.resolve(task))
    return container(task)


def _value(config: DictConfig, key: str) -> Any:
    return "???" if OmegaConf.is_missing(config, key) else container({key: config[key]})[key]


def _related(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")
