"""Is this configuration possible? Answered from its values alone, before anything heavy is imported."""

from collections.abc import Mapping
from typing import Any

from omegaconf import ListConfig, OmegaConf

from src.config.rules import RULES
from src.config.values import Config, Values, resolved, targets
from src.errors import UserError
from src.training.task import METRICS, SPLITS, figure_names

# What is auto until a model has been asked for it: group, key, and what it is where the model does not say.
_ASKED = (("data", "batch_size", "auto"), ("callbacks.early_stopping", "patience", 20))


def settle(cfg: Config) -> None:
    """Says what one value decides of another: the share of rows that validates a fold, and what a model asks for.

    A list of one target is that target.
    """
    if len(named := targets(cfg)) == 1 and named[0] != cfg.data.target:
        _put(cfg, "data", "target", named[0])
    for group, key, usual in _ASKED:
        node = _select(cfg, group)
        if isinstance(node, Mapping) and node.get(key) == "auto":
            _put(cfg, group, key, cfg.model.get(key) or usual)
    folds = cfg.get("folds")
    if isinstance(folds, int) and folds > 1:
        _put(cfg, "data", "val_fraction", 1 / folds)


def _put(cfg: Config, group: str, key: str, value: Any) -> None:
    first, _, rest = group.partition(".")
    if isinstance(cfg, Values):  # whose parts jobs of a sweep may have in common
        cfg[first] = Values(cfg[first])
    if rest:
        _put(cfg[first], rest, key, value)
    elif isinstance(cfg, Values):
        cfg[first][key] = value
    else:
        setattr(cfg[first], key, value)


def check(cfg: Config) -> None:
    """Holds every value against its rule, and the values against each other.

    Raises:
        UserError: naming each key that does not fit, what was found and what is allowed.
    """
    check_values(cfg)
    _check_together(cfg)


def check_values(cfg: Config) -> None:
    """Holds every value against its rule.

    Raises:
        UserError: as ``check``.
    """
    complaints = []
    for group, rules in RULES.items():
        node = _select(cfg, group) if group else cfg
        if not isinstance(node, Mapping):
            continue
        for key, rule in rules.items():
            name = f"{group}.{key}" if group else key
            if node.get(key) == "???" if isinstance(node, dict) else OmegaConf.is_missing(node, key):
                complaints.append(f"{name} has to be given, as in {name}=…")
                continue
            if key not in node:
                continue
            value = resolved(node[key])
            if expected := rule.complaint(value):
                complaints.append(f"{name} must be {expected}, found {_as_typed(value)}")
    if complaints:  # at most two lines
        more = f" (and {len(complaints) - 2} more)" if len(complaints) > 2 else ""
        raise UserError("\n".join(complaints[:2]) + more)


def _select(cfg: Config, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    node: Any = cfg
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _as_typed(value: Any) -> str:
    """A value as the command line spells it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def _check_together(cfg: Config) -> None:
    trainer, data, optimizer = cfg.trainer, cfg.data, cfg.optimizer
    if trainer.max_epochs == -1 and trainer.max_steps == -1:
        raise UserError("trainer.max_epochs=-1 needs trainer.max_steps, or training would never end")
    if data.val_fraction + data.test_fraction >= 1:
        raise UserError(
            f"data.val_fraction={data.val_fraction} and data.test_fraction={data.test_fraction} "
            "leave no row for training, expected a sum below 1"
        )
    if optimizer.get("nesterov") and not optimizer.get("momentum"):
        raise UserError("optimizer.nesterov=true needs optimizer.momentum above 0, found 0")
    scheduler = cfg.scheduler
    if str(scheduler.get("_target_")).endswith(".ReduceLROnPlateau") and scheduler.get("interval") == "step":
        raise UserError(
            "scheduler.interval must be epoch for a plateau scheduler, which watches whole epochs, found 'step'"
        )
    if str(optimizer._target_).endswith(".LBFGS") and str(trainer.precision) in ("16", "16-mixed"):
        raise UserError(
            f"trainer.precision={trainer.precision} scales gradients, LBFGS cannot: expected bf16-mixed or 32-true"
        )
    if cfg.model._target_.endswith(".Scratch"):
        extras = [k for k in ("momentum", "nesterov", "weight_decay") if optimizer.get(k)]
        if not optimizer._target_.endswith(".SGD") or extras:
            found = f"optimizer.{extras[0]}={optimizer[extras[0]]}" if extras else optimizer._target_
            raise UserError(
                f"model=scratch writes plain gradient descent out by hand: expected optimizer=sgd, found {found}"
            )
        if cfg.scheduler.get("_target_"):
            raise UserError(
                f"model=scratch keeps its learning rate: expected scheduler=none, found {cfg.scheduler._target_}"
            )
        if trainer.gradient_clip_val is not None or trainer.accumulate_grad_batches != 1:
            raise UserError("model=scratch neither clips nor accumulates gradients; leave both trainer options alone")
    _check_models(cfg)
    _check_targets(cfg)
    figures = figure_names(targets(cfg))
    several = isinstance(cfg.objective, (list, ListConfig))
    if several and not 2 <= len(set(map(str, cfg.objective))) == len(cfg.objective):
        raise UserError(f"objective must be one figure or a list of different ones, found {list(cfg.objective)}")
    for objective in [] if cfg.objective is None else cfg.objective if several else [cfg.objective]:
        split, _, metric = str(objective).partition("/")
        if split == "oof" and metric in figures and (cfg.get("folds") is None or cfg.get("fold") is not None):
            raise UserError(f"objective={objective} is over the rows that folds leave out, expected folds=5 with it")
        if split not in (*SPLITS, "oof") or metric not in figures:
            said = " with ".join(f"{', '.join(names[:-1])} or {names[-1]}" for names in (SPLITS, list(METRICS)))
            raise UserError(f"objective must be {said}, as in val/mse{_of_one(figures)}, found {objective!r}")
        if split not in ("train", "oof") and not data[f"{split}_fraction"]:
            raise UserError(f"objective={objective} needs {split} rows, found data.{split}_fraction=0")
    for key in ("scheduler.monitor", *(f"callbacks.{name}.monitor" for name in cfg.get("callbacks") or {})):
        if (figure := _select(cfg, key)) is not None:
            _check_monitor(key, str(figure), bool(data.val_fraction), figures)


def _check_monitor(key: str, figure: str, validation: bool, figures: list[str]) -> None:
    """A figure that is never logged would stop training in the middle, or go unwatched."""
    if figure.startswith("val/") and not validation:
        more = "; callbacks=default trains to the end" if key.startswith("callbacks.early_stopping") else ""
        raise UserError(f"{key}={figure} needs val rows, found data.val_fraction=0; train/loss is always there{more}")
    if figure not in ("train/loss", *(f"val/{name}" for name in figures)):
        known = ", ".join(["train/loss", *(f"val/{name}" for name in METRICS)])
        raise UserError(f"{key} must be one of {known}{_of_one(figures)}, found {figure!r}")


def _of_one(figures: list[str]) -> str:
    """What else a figure may be where there are several targets."""
    return f", or that of one target, val/{figures[-1]}" if len(figures) > len(METRICS) else ""


def _check_targets(cfg: Config) -> None:
    """What learns one target, and is asked for several."""
    if len(named := targets(cfg)) < 2:
        return
    found = f"found data.target=[{','.join(named)}]"
    if cfg.loss.get("levels"):
        raise UserError(f"loss.levels are quantiles of one target, {found}: expected another loss, or a run for each")
    if cfg.model._target_.endswith(".Scratch"):
        raise UserError(f"model=scratch is written out for one target, {found}: expected another model, linear say")
    if cfg.get("descent"):
        raise UserError(f"descent=true draws a line to one target, {found}: leave one out")


def _check_models(cfg: Config) -> None:
    """What folds, one of them, and ensembles need and exclude."""
    folds, fold, ensemble = (cfg.get(key) for key in ("folds", "fold", "ensemble"))
    if fold is not None and (folds is None or fold >= folds):
        raise UserError(f"fold={fold} needs folds above it, as in folds=5 fold=0, found folds={_as_typed(folds)}")
    if folds is not None and ensemble is not None:
        raise UserError(f"folds={folds} and ensemble={ensemble}: the models of folds are an ensemble, leave one out")
    if ensemble is None and (folds is None or fold is not None):
        return
    if "checkpoints" not in (cfg.get("callbacks") or {}):
        raise UserError(
            "callbacks.checkpoints is missing: folds and ensemble predict with the best that each model wrote"
        )
    if cfg.get("descent"):
        raise UserError("descent=true draws one training, found several models: leave it, or folds and ensemble, out")
