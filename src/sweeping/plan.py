"""What a sweep is going to do, checked before its first trial."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from hydra.utils import execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.exceptions import ExperimentalWarning

from src import resolvers
from src.errors import UserError
from src.sweeping.aside import set_aside
from src.sweeping.identity import Identity, identity
from src.sweeping.samplers import Grid, Random, Reseeded, size
from src.sweeping.settings import Settings
from src.sweeping.space import SearchSpace, parse
from src.sweeping.storage import location
from src.sweeping.study import DurableStudy

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

Compose = Callable[[list[str]], DictConfig]

_SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
_PRUNERS = ("optuna.pruners.*",)
_LESSONS = 16  # batches, at least, where a sampler or a pruner learns from earlier trials


@dataclass
class Plan:
    """A checked sweep: what each trial's command is, and how its study is opened."""

    name: str
    space: SearchSpace
    directions: list[str]
    limit: int
    n_jobs: int
    max_failure_rate: float
    max_failures_in_a_row: int
    where: Callable[[Path], str]
    identity: Identity
    sampler: "BaseSampler"
    pruner: "BasePruner | None"
    lives: int
    extend: "Callable[[Trial], None] | None" = None
    afresh: bool = False
    config: DictConfig = field(default_factory=lambda: OmegaConf.create())

    def command(self, trial: "Trial") -> list[str]:
        """The overrides of a trial; suggests its parameters where that has not happened yet.

        Raises:
            UserError: a conditional parameter is also fixed.
        """
        for key, distribution in self.space.swept.items():
            trial._suggest(key, distribution)
        if self.extend:
            self.extend(trial)
        point = trial.params
        if both := point.keys() & self.space.fixed.keys():
            raise UserError(f"{min(both)} is both fixed and swept by hydra.sweeper.custom_search_space")
        return self.space.overrides(point)

    def open(self, folder: Path) -> DurableStudy:
        """Makes the sweep folder and opens the study.

        Raises:
            UserError: neither can be used, or the folder holds something else.
        """
        where = self.where(folder)
        lock = folder / "study.lock"
        try:
            if self.afresh:
                set_aside(folder, where, self.name)
            new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            lock.touch()
        except OSError as error:
            raise UserError(f"hydra.sweep.dir={folder} cannot be written: {error.strerror}") from error
        runs = any(path.name.isdigit() and path.is_dir() for path in folder.iterdir())
        try:
            study = DurableStudy(
                where, self.name, self.directions, self.identity, self.sampler, self.pruner,
                self.limit, self.lives, lock,
            )  # fmt: skip
        except UserError:
            if new and list(folder.iterdir()) == [lock]:
                lock.unlink()
                folder.rmdir()
            raise
        if runs and not study.trials():
            study.close()
            raise UserError(
                f"hydra.sweep.dir={folder} holds runs that study {self.name!r} does not know: "
                "choose another folder, or study.new=true to move this one aside"
            )
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return study


def make_plan(settings: Settings, config: DictConfig, compose: Compose, arguments: list[str]) -> Plan:
    """Checks everything that can be known before the first trial.

    Args:
        settings: the sweeper's options.
        config: the sweep's composed configuration.
        compose: overrides to a job's configuration.
        arguments: the command line's task overrides.

    Raises:
        UserError: one line on the first thing that does not fit.
    """
    resolvers.register()
    # Who names a sampler or a pruner has chosen it.
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    settings.check()
    directions = settings.directions()
    params: Any = OmegaConf.to_container(settings.params, resolve=True) if OmegaConf.is_config(settings.params) else {}
    space = parse(params, arguments)
    if not space.swept and not settings.custom_search_space:
        raise UserError(
            "the search space is empty: give hydra.sweeper.params, or an override such as "
            "'optimizer.lr=tag(log,interval(0.001,1))'"
        )
    base = _composed(compose, space, None)
    groups = set(config.hydra.runtime.choices)
    for number, point in enumerate(space.probes()):
        if number == 0 or any(key in groups for key in _changed(point, space)):
            _composed(compose, space, point)
    _check_objective(base, directions)
    sampler, limit = _sampler(settings, space)
    pruner = None
    if settings.pruner and settings.pruner.get("_target_"):
        if len(directions) > 1:
            raise UserError("pruning needs a single objective: expected hydra/sweeper/pruner=none")
        pruner = _built(settings.pruner, _PRUNERS, "hydra.sweeper.pruner")()
    return Plan(
        name=str(settings.study_name),
        space=space,
        directions=directions,
        limit=limit,
        n_jobs=settings.n_jobs or _together(config.hydra.launcher, settings, limit),
        max_failure_rate=settings.max_failure_rate,
        max_failures_in_a_row=settings.max_failures_in_a_row,
        where=lambda folder: location(settings.storage, folder),
        identity=identity(directions, space.swept, base, settings.custom_search_space),
        sampler=sampler,
        pruner=pruner,
        lives=settings.lives,
        extend=_extender(settings.custom_search_space, config),
        afresh=bool(OmegaConf.select(config, "study.new", default=False)),
        config=config,
    )


def _changed(point: dict[str, Any], space: SearchSpace) -> list[str]:
    first = space.probes()[0]
    return [key for key, value in point.items() if value != first[key]]


def _composed(compose: Compose, space: SearchSpace, point: dict[str, Any] | None) -> DictConfig:
    """A job's configuration without Hydra's own part; None composes what all trials share."""
    try:
        cfg = compose(space.overrides(point or {}))
    except (HydraException, OmegaConfBaseException) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(" ".join(lines)[:400]) from error
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _check_objective(base: DictConfig, directions: list[str]) -> None:
    """A direction that would look for the worst run is a mistake."""
    from src.training.task import larger_is_better

    objective = base.get("objective")
    names = list(objective) if OmegaConf.is_list(objective) else [objective]
    if objective is not None and len(names) != len(directions):
        raise UserError(
            f"objective={objective} names {len(names)} figures, expected as many as "
            f"hydra.sweeper.direction=[{','.join(directions)}]"
        )
    for name, direction in zip(names, directions, strict=False):
        if isinstance(name, str) and "/" in name:
            right = "maximize" if larger_is_better(name) else "minimize"
            if direction != right:
                raise UserError(f"objective={name} needs hydra.sweeper.direction={right}, found {direction}")


def _sampler(settings: Settings, space: SearchSpace) -> "tuple[BaseSampler, int]":
    """The sampler, and how many trials there can be."""
    node = settings.sampler
    target = str(node.get("_target_", ""))
    limit, seed = settings.n_trials, node.get("seed")
    if target.endswith(".GridSampler"):
        if settings.custom_search_space:
            raise UserError("hydra/sweeper/sampler=grid cannot enumerate hydra.sweeper.custom_search_space")
        try:
            grid = Grid(space.swept, seed)
        except ValueError as error:
            raise UserError(
                f"hydra/sweeper/sampler=grid needs values to enumerate, found the interval {error}: "
                "expected a choice or a range"
            ) from error
        return grid, int(min(limit, size(space.swept)))
    if target.endswith(".RandomSampler") and seed is not None:
        points = inf if settings.custom_search_space else size(space.swept)
        return Random(space.swept, seed), int(min(limit, points))
    make = _built(node, _SAMPLERS, "hydra.sweeper.sampler")
    return (make() if seed is None else Reseeded(make, seed)), limit


def _together(launcher: DictConfig, settings: Settings, limit: int) -> int:
    """How many trials a batch has where nobody says: one, or as many as the launcher trains as one."""
    batch = min(int(launcher.get("batch", 1)), limit)
    learns = not str(settings.sampler.get("_target_", "")).endswith((".GridSampler", ".RandomSampler"))
    prunes = bool(settings.pruner and settings.pruner.get("_target_"))
    # Trials of one batch do not learn from each other, and pruners compare with trials that have ended.
    return max(1, batch // _LESSONS) if learns or prunes else batch


def _built(node: Any, allowed: tuple[str, ...], key: str) -> Callable[..., Any]:
    """The constructor that a node describes, tried once.

    Raises:
        UserError: it refuses its arguments.
    """
    try:
        only = execution_whitelist(allowed, reset=True)
        make = instantiate(node, _partial_=True, _execution_whitelist_=only, _convert_="all")
        make()
    except (HydraException, ValueError, TypeError, ModuleNotFoundError) as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}: {str(cause).splitlines()[0]}") from error
    return partial(make)


def _extender(name: str | None, config: DictConfig) -> "Callable[[Trial], None] | None":
    if not name:
        return None
    try:
        only = execution_whitelist(("src.sweeping.spaces.*",), reset=True)
        function = instantiate({"_target_": name, "_partial_": True}, _execution_whitelist_=only)
    except HydraException as error:
        raise UserError(f"hydra.sweeper.custom_search_space={name}: {str(error).splitlines()[0]}") from error
    return lambda trial: function(config, trial)
