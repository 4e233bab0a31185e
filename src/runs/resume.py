"""The configuration of a run that goes on from another: the folder's, changed by the command line's overrides.

What the overrides do not name stays as it was in the run. What would make it another training is refused here, from
values alone; whether the rows are the same, ``src.runs.point.resumable`` asks the checkpoint.
"""

from collections.abc import Collection, Sequence
from copy import deepcopy
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.check import check
from src.config.keys import OF_COMMAND
from src.config.kinds import KINDS
from src.config.objective import monitored
from src.config.values import container, flatten, unresolved
from src.errors import UserError, nearest
from src.runs.folder import RunFolder
from src.runs.restore import load_config

_SETS = ("experiment", "sweep")  # choices that set keys anywhere
_ROWS = ("_target_", "_partial_", "features", "target", "val_fraction", "test_fraction", "standardize")
_BATCHES = ("data.batch_size", "data.shuffle", "trainer.accumulate_grad_batches")
_PRECISIONS = {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}
_NOTHING = object()


def continued(cfg: DictConfig, overrides: Sequence[str], trust: Collection[str] = (), own: bool = False) -> DictConfig:
    """The configuration of the run in ``cfg.resume`` with these overrides, checked against what it was.

    A value sets its key. A group's choice sets the whole group, as conf/ has it and as the other overrides change
    it. ``experiment`` and ``sweep`` set every key in which they make a configuration differ from conf/'s own.

    Args:
        cfg: composed from conf/ and the overrides.
        overrides: of the task.
        trust: packages of the user's own whose classes the folder may name.
        own: whether the run goes on in that folder: then what it resumed itself stays as it was.

    Raises:
        UserError: there is no such run, it names what a folder may not, or an override changes what has to stay.
    """
    folder = RunFolder.existing(cfg.resume, "resume")
    before = load_config(folder, tuple(KINDS), trust, key="resume")
    now = deepcopy(before)
    OmegaConf.resolve(cfg)
    with open_dict(now):
        for name in (*OF_COMMAND, *(name for name in cfg if name not in now)):
            if name in cfg and not (own and name == "resume"):
                now[name] = cfg[name]
        for name in cfg.trainer:
            now.trainer.setdefault(name, cfg.trainer[name])
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            _apply(override, cfg, now, str(folder.path))
    OmegaConf.resolve(now)
    check(now)
    for key, (old, new) in _differences(before, now).items():
        if (reason := _why_not(key, old, new, before, now)) is not None:
            raise UserError(f"resume={folder.path}: {key} was {_said(old)}, found {_said(new)}: {reason}")
    if monitored(before) != monitored(now):
        old, new = monitored(before)[0], monitored(now)[0]
        raise UserError(
            f"resume={folder.path}: objective judged epochs by {old}, found {new}: what earlier epochs had is not known"
        )
    return now


def _apply(override: Override, cfg: DictConfig, now: DictConfig, folder: str) -> None:
    """Has an override change the run's configuration."""
    group = override.key_or_group
    key = override.package or group.replace("/", ".")
    chosen = group in HydraConfig.get().runtime.choices and not isinstance(override.value(), dict)
    if key in OF_COMMAND:
        return
    if group in _SETS:
        for changed in _set_by(cfg):
            OmegaConf.update(now, changed, OmegaConf.select(cfg, changed), merge=False, force_add=True)
    elif override.is_delete():
        parent, _, last = key.rpartition(".")
        (OmegaConf.select(now, parent) if parent else now).pop(last, None)
    elif chosen:
        now[key] = cfg[key]
    else:
        if OmegaConf.select(now, key, default=_NOTHING) is _NOTHING and not override.is_add():
            close = nearest(key, list(flatten(container(now))))
            raise UserError(f"resume={folder}: the run has no {key}{close}")
        value = OmegaConf.select(cfg, key) if override.is_list_extend() else override.value()
        OmegaConf.update(now, key, value, force_add=True)


def _set_by(cfg: DictConfig) -> list[str]:
    """The keys in which a composed configuration differs from conf/'s own; a group of another choice is one key."""
    hydra = HydraConfig.get()
    own = compose(hydra.job.config_name, return_hydra_config=True)
    choices = own.hydra.runtime.choices
    groups = [name for name, choice in hydra.runtime.choices.items() if name in KINDS and choices.get(name) != choice]
    default, composed = (flatten(unresolved(each)) for each in (_task(own), _task(cfg)))
    keys = [
        key
        for key, value in composed.items()
        if default.get(key, _NOTHING) != value and "${" not in str(default.get(key))
    ]
    return [*groups, *(key for key in keys if key.partition(".")[0] not in (*groups, *OF_COMMAND, *_SETS))]


def _task(cfg: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _differences(before: DictConfig, now: DictConfig) -> dict[str, tuple[Any, Any]]:
    """What each key that differs was and is; a class before its arguments."""
    old, new = flatten(container(before)), flatten(container(now))
    keys = sorted(dict.fromkeys([*old, *new]), key=lambda key: not key.endswith("._target_"))
    pairs = {key: (old.get(key, _NOTHING), new.get(key, _NOTHING)) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _why_not(key: str, old: Any, new: Any, before: DictConfig, now: DictConfig) -> str | None:
    """Why a key has to stay as it was; None where it may change."""
    group, _, name = key.partition(".")
    if key in ("folds", "fold", "ensemble"):
        return "the models, and the rows of each, have to be the same"
    if key == "seed":
        return "the seed decides splits, row order and dropout"
    if key == "trainer.precision":
        old, new = (_PRECISIONS.get(str(value), str(value)) for value in (old, new))
        return "the weights have the run's precision" if old != new else None
    if group == "model":
        if key != "model.dropout":
            return "the net has to be the same"
        return None if old and new and _NOTHING not in (old, new) else "from or to 0 the net has other layers"
    if group == "data" and key not in _BATCHES:
        return None if name == "path" else "the rows have to be the same"  # their SHA-256 is compared
    if group == "optimizer":
        return _why_not_of_the_optimizer(name, old, str(now.optimizer._target_))
    if group == "scheduler" and name in ("_target_", "_partial_", "interval", "monitor", "mode"):
        return "what the scheduler has counted says nothing to another one"
    if key in _BATCHES:
        if before.trainer.max_steps != -1 or now.trainer.max_steps != -1:
            return "with trainer.max_steps an epoch may be half done"
        if now.scheduler.get("_target_") and now.scheduler.interval == "step":
            return "the schedule counts optimizer steps, and an epoch would have another number of them"
    return None


def _why_not_of_the_optimizer(name: str, old: Any, target: str) -> str | None:
    if name == "_target_":
        return "its state says nothing to another optimizer"
    new_state = name in ("amsgrad", "centered") or (name == "momentum" and target.endswith(".RMSprop") and not old)
    return "the optimizer would need what it has not kept" if new_state else None


def _said(value: Any) -> str:
    """A value as the command line spells it."""
    if value is _NOTHING:
        return "absent"
    if isinstance(value, list):
        return f"[{','.join(map(_said, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
