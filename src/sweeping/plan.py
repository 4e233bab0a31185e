"""What a sweep is going to do, checked before its first trial."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.utils import execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.exceptions import ExperimentalWarning

from src.adapters.hydra_compose import number_job, written_pattern
from src.adapters.optuna_internals import suggest
from src.config import resolvers
from src.config.answers import told
from src.config.resolvers import within
from src.config.values import container, flatten
from src.errors import UserError, first_line
from src.sweeping.archive import archive
from src.sweeping.fingerprint import fingerprint
from src.sweeping.samplers import MOST, Grid, SamplerOf, size, stream
from src.sweeping.search_space import SearchSpace, parse
from src.sweeping.storage import directions_of, location
from src.sweeping.study import DurableStudy
from src.sweeping.subdir import check_subdir
from src.training.task import direction_of

if TYPE_CHECKING:
    from optuna.trial import Trial

Compose = Callable[[list[str]], DictConfig]

_SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
_PRUNERS = ("optuna.pruners.*",)
_SPACES = ("src.sweeping.conditional.*",)
_LESSONS = 16  # batches, at least, where a sampler or a pruner learns from earlier trials


class Plan:
    """A checked sweep: what each trial's command is, and how its study is opened.

    Args:
        config: the sweep's composed configuration.
        compose: overrides to a job's configuration.
        arguments: the command line's task overrides.

    Raises:
        UserError: one line on the first thing that does not fit.
    """

    def __init__(self, config: DictConfig, compose: Compose, arguments: list[str]) -> None:
        resolvers.register()
        # Who names a sampler or a pruner has chosen it.
        warnings.filterwarnings("ignore", category=ExperimentalWarning)
        self.config, self.options = config, config.hydra.sweeper
        _check(self.options)
        self.directions = directions_of(self.options) or ["minimize"]
        params: Any = OmegaConf.to_container(self.options.params, resolve=True) if self.options.params else {}
        self.space = parse(params, arguments)
        custom = self.options.custom_search_space
        if not self.space.swept and not custom:
            raise UserError(
                "the search space is empty: give hydra.sweeper.params, or an override such as "
                "'optimizer.lr=tag(log,interval(0.001,1))'"
            )
        points = [{}, *self.space.probes(config.hydra.runtime.choices)]
        base, *_, job = [_composed(compose, self.space, point) for point in points]
        check_subdir(written_pattern(job), [_folder(job, number) for number in (0, 1)])
        base = OmegaConf.masked_copy(base, [str(key) for key in base if key != "hydra"])
        _check_objective(base, self.directions)
        self.sampler, self.limit = _sampler(self.options, self.space)
        self.pruner = None
        if prunes := bool(self.options.pruner and self.options.pruner.get("_target_")):
            if len(self.directions) > 1:
                raise UserError("pruning needs a single objective: expected hydra/sweeper/pruner=none")
            self.pruner = _built(self.options.pruner, _PRUNERS, "hydra.sweeper.pruner")()
        self.learns = prunes or not str(self.options.sampler.get("_target_")).endswith(
            (".GridSampler", ".RandomSampler")
        )
        # Of itself a batch is one trial, or as many as the launcher trains as one. Trials of one batch do not learn
        # from each other, and pruners compare with trials that have ended.
        batch = min(int(config.hydra.launcher.get("batch", 1)), self.limit)
        self.n_jobs = self.options.n_jobs or (max(1, batch // _LESSONS) if self.learns else batch)
        self.fingerprint = fingerprint(self.directions, self.space.swept, base, custom)
        self.extend = None
        if custom:
            key = f"hydra.sweeper.custom_search_space={custom}"
            self.extend = _built({"_target_": custom}, _SPACES, key, tried=False)

    def command(self, trial: "Trial") -> list[str]:
        """The overrides of a trial; suggests its parameters where that has not happened yet.

        Raises:
            UserError: a conditional parameter is also fixed.
        """
        for key, distribution in self.space.swept.items():
            suggest(trial, key, distribution)
        if self.extend:
            self.extend(self.config, trial)
        point = trial.params
        if both := point.keys() & self.space.fixed.keys():
            raise UserError(f"{min(both)} is both fixed and swept by hydra.sweeper.custom_search_space")
        return self.space.overrides(point)

    def open(self, folder: Path) -> DurableStudy:
        """Makes the sweep folder and opens the study.

        Raises:
            UserError: neither can be used, or the folder holds something else.
        """
        name, lock = str(self.options.study_name), folder / "study.lock"
        where = location(self.options.storage, folder)
        try:
            if OmegaConf.select(self.config, "study.new", default=False):
                archive(folder, where, name)
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError as error:
            raise UserError(f"hydra.sweep.dir={folder} cannot be written: {error.strerror}") from error
        runs = any(path.name.isdigit() and path.is_dir() for path in folder.iterdir())
        try:
            study = DurableStudy(
                where, name, self.directions, self.fingerprint, self.sampler,
                _settings(self.options.sampler), self.pruner, self.limit, self.options.max_retries, folder,
            )  # fmt: skip
        except UserError:
            if new and list(folder.iterdir()) == [lock]:
                lock.unlink()
                folder.rmdir()
            raise
        if runs and not study.trials():
            study.close()
            raise UserError(
                f"hydra.sweep.dir={folder} holds runs that study {name!r} does not know: "
                "choose another folder, or study.new=true to move this one aside"
            )
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return study


def _settings(sampler: DictConfig) -> dict[str, str]:
    """A sampler's settings as texts."""
    return {key: str(value) for key, value in flatten(container(sampler)).items()}


def _check(options: DictConfig) -> None:
    """Holds the sweeper's options against their ranges; their types Hydra knows."""
    for key in ("n_trials", "n_jobs", "max_failures_in_a_row", "max_retries", "reports"):
        least = 0 if key == "max_retries" else 1
        if options[key] is not None and options[key] < least:
            raise UserError(f"hydra.sweeper.{key} must be a whole number from {least} on, found {options[key]}")
    if not 0 <= options.max_failure_rate <= 1:
        raise UserError(
            f"hydra.sweeper.max_failure_rate must be a number from 0 to 1, found {options.max_failure_rate}"
        )
    if not options.study_name or "/" in options.study_name:
        raise UserError(f"hydra.sweeper.study_name must be a name without /, found {options.study_name!r}")
    for name in directions_of(options):
        if name not in ("minimize", "maximize"):
            raise UserError(f"hydra.sweeper.direction must be minimize or maximize, found {name!r}")


def _composed(compose: Compose, space: SearchSpace, point: dict[str, Any]) -> DictConfig:
    """A job's configuration; an empty point composes what all trials share."""
    try:
        return compose(space.overrides(point))
    except (HydraException, OmegaConfBaseException) as error:
        raise told(error) or error from error


def _folder(job: DictConfig, number: int) -> str:
    """The folder within the sweep's that a job would have as trial ``number``."""
    number_job(job, number)
    return str(within(job, lambda: OmegaConf.select(job, "hydra.sweep.subdir")))


def _check_objective(base: DictConfig, directions: list[str]) -> None:
    """A direction that would look for the worst run is a mistake."""
    objective = base.get("objective")
    names = list(objective) if OmegaConf.is_list(objective) else [objective]
    if objective is not None and len(names) != len(directions):
        raise UserError(
            f"objective={objective} names {len(names)} figures, expected as many as "
            f"hydra.sweeper.direction=[{','.join(directions)}]"
        )
    for name, found in zip(names, directions, strict=False):
        if isinstance(name, str) and "/" in name and found != direction_of(name):
            raise UserError(f"objective={name} needs hydra.sweeper.direction={direction_of(name)}, found {found}")


def _sampler(options: DictConfig, space: SearchSpace) -> tuple[SamplerOf, int]:
    """The sampler of each trial, and how many trials there can be."""
    target, seed = str(options.sampler.get("_target_", "")), options.sampler.get("seed")
    custom = options.custom_search_space
    if target.endswith(".GridSampler"):
        if custom:
            raise UserError("hydra/sweeper/sampler=grid cannot enumerate hydra.sweeper.custom_search_space")
        try:
            grid = Grid(space.swept, seed)
        except ValueError as error:
            raise UserError(
                f"hydra/sweeper/sampler=grid needs values to enumerate, found the interval {error}: "
                "expected a choice or a range"
            ) from error
        return lambda number: grid, int(min(options.n_trials, size(space.swept)))
    if target.endswith(".RandomSampler") and seed is not None and not custom and size(space.swept) <= MOST:
        shuffled = Grid(space.swept, seed)  # random draws of which none comes twice
        return lambda number: shuffled, int(min(options.n_trials, size(space.swept)))
    make = _built(options.sampler, _SAMPLERS, "hydra.sweeper.sampler")
    if seed is None:
        only = make()
        return lambda number: only, options.n_trials
    return lambda number: make(seed=stream(seed, number)), options.n_trials


def _built(node: Any, allowed: tuple[str, ...], key: str, tried: bool = True) -> Callable[..., Any]:
    """What a node names, to be called; a constructor is called once to see that it takes its arguments.

    Raises:
        UserError: there is no such thing, or it refuses its arguments.
    """
    try:
        only = execution_whitelist(allowed, reset=True)
        make = instantiate(node, _partial_=True, _execution_whitelist_=only, _convert_="all")
        if tried:
            make()
    except (HydraException, ValueError, TypeError, ModuleNotFoundError) as error:
        raise UserError(f"{key}: {first_line(error.__cause__ or error)}") from error
    return make
