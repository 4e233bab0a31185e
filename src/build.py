"""Configuration to objects: the one place that calls Hydra's instantiate.

What a configuration may construct is decided in ``src.kinds``; constructors take plain values and know no config.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.table import Table
from src.errors import UserError
from src.kinds import check_kind, plain, resolve
from src.results.metrics import larger_is_better

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from torch import nn

    from src.data.module import DataModule
    from src.training.record import Record, Watcher
    from src.training.regressor import Regressor
    from src.training.scratch import Scratch

log = logging.getLogger(__name__)

_MODULE_KEYS = ("batch_size", "shuffle", "val_fraction", "test_fraction", "standardize")
_FULL_PRECISION = ("32", "32-true", "64", "64-true")
_OWN_CALLBACKS = ("src.training.checkpoints.Checkpoints", "src.training.progress.Progress")
# Trainer options that change what a batch or an epoch is to Lightning's own loop.
_LOOP_OPTIONS = (
    "limit_train_batches",
    "limit_val_batches",
    "overfit_batches",
    "fast_dev_run",
    "val_check_interval",
)


def construct(node: DictConfig | dict[str, Any], key: str, **extra: Any) -> Any:
    """The object that a node of the configuration describes.

    Args:
        node: its ``_target_`` and arguments.
        key: where it stands in the configuration; its first part says what kind of object it has to be.
        extra: further arguments, not from the configuration.

    Raises:
        UserError: it is of another kind or cannot be constructed; the message names the node.
    """
    values = plain(node)
    # Hydra adds a whitelist to the one of hydra.main unless told to reset: this one is the only one in force.
    allowed = execution_whitelist(sorted(check_kind(values, key)), reset=True)
    try:
        return instantiate(values, **extra, _execution_whitelist_=allowed, _convert_="all")
    except UserError:
        raise
    except (InstantiationException, TypeError, ValueError, AttributeError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):
                raise cause from None
            cause = cause.__cause__
        raise UserError(f"{key}: {' '.join(str(error.__cause__ or error).split())}") from error


def table(cfg: DictConfig) -> Table:
    """The rows that ``data`` names, in the run's precision. Needs no torch."""
    source = {key: value for key, value in cfg.data.items() if key not in _MODULE_KEYS}
    return construct(OmegaConf.create(source), "data", dtype=_dtype(cfg))


def why_plain(cfg: DictConfig) -> str | None:
    """Why the fast path cannot serve this configuration; None where it can."""
    trainer = cfg.trainer
    if trainer.steps_per_execution == 1:
        return "trainer.steps_per_execution=1 asks for it"
    if str(trainer.precision) not in _FULL_PRECISION:
        return f"trainer.precision={trainer.precision} needs Lightning's own step"
    if str(trainer.devices) != "1" or trainer.strategy not in ("auto", "single_device"):
        return f"trainer.devices={trainer.devices}, trainer.strategy={trainer.strategy}: several devices"
    if trainer.accumulate_grad_batches != 1:
        return f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}"
    option = next((name for name in _LOOP_OPTIONS if trainer.get(name) is not None), None)
    return f"trainer.{option}={trainer[option]}" if option else None


def datamodule(cfg: DictConfig, rows: Table) -> "DataModule":
    """The DataModule over a table.

    Raises:
        UserError: the fractions leave fewer than two training rows.
    """
    from src.data.module import DataModule

    standardize = cfg.data.standardize
    steps = cfg.trainer.steps_per_execution
    plain = why_plain(cfg)
    foreign = [n.get("_target_") for n in (cfg.callbacks or {}).values() if n.get("_target_") not in _OWN_CALLBACKS]
    return DataModule(
        rows,
        cfg.data.batch_size,
        cfg.data.shuffle,
        cfg.data.val_fraction,
        cfg.data.test_fraction,
        cfg.model.standardize if standardize == "auto" else standardize,
        cfg.seed,
        steps_per_execution=1 if plain else None if steps == "auto" else steps,
        # A callback that is not ours may want to see every epoch.
        span=not plain and not foreign,
    )


def net(cfg: DictConfig, features: int) -> "nn.Module":
    """The net of ``model``, started from the seed, in the run's precision; also for ``scratch``."""
    if is_scratch(cfg):
        from src.training.record import Record

        return _scratch(cfg, features, Record())
    with _started_from(cfg):
        return construct(_without(cfg.model, "standardize"), "model", **_input(cfg, features))


def net_factory(cfg: DictConfig, features: int) -> "Callable[..., nn.Module]":
    """A constructor of ``model``'s net for many members; takes ``init`` where a member has its own."""
    make = construct(_without(cfg.model, "standardize"), "model", _partial_=True)
    if not is_scratch(cfg):
        return partial(make, **_input(cfg, features))
    from src.training.record import Record

    loss = construct(cfg.loss, "loss")
    return partial(make, features=features, loss=loss, lr=cfg.optimizer.lr, seed=cfg.seed, record=Record())


def module(cfg: DictConfig, data: "DataModule", record: "Record") -> "Regressor | Scratch":
    """The LightningModule: net, loss, optimizer and schedule, each tried once before training starts.

    Raises:
        UserError: one of them refuses its arguments.
    """
    features = len(data.table.feature_names)
    if is_scratch(cfg):
        return _scratch(cfg, features, record)
    from src.training.regressor import Regressor

    clip = cfg.trainer.gradient_clip_val
    regressor = Regressor(
        net(cfg, features),
        construct(cfg.loss, "loss"),
        construct(cfg.optimizer, "optimizer"),
        _schedule(cfg, data),
        cfg.seed,
        None if clip is None else (clip, cfg.trainer.gradient_clip_algorithm),
        why_plain(cfg) is None,
        record,
    )
    _try_out(regressor, cfg)
    return regressor


def record(cfg: DictConfig, data: "DataModule", watchers: "list[Watcher]") -> "Record":
    """The record of a training: with validation rows it keeps the weights of the best epoch."""
    from src.training.record import Record

    monitor = objective(cfg)
    if not len(data.rows["val"]):
        return Record(watchers=watchers)
    if not monitor.startswith("val/"):
        monitor = "val/mse"
    return Record(monitor, larger_is_better(monitor), watchers)


def objective(cfg: DictConfig) -> str:
    """The figure that a run is judged by: what is asked for (the first of several), else val/mse where there
    is validation, else train/mse."""
    return objectives(cfg)[0]


def objectives(cfg: DictConfig) -> list[str]:
    """Every figure that a run returns to its sweep."""
    if OmegaConf.is_list(cfg.objective):
        return [str(name) for name in cfg.objective]
    return [cfg.objective or ("val/mse" if cfg.data.val_fraction else "train/mse")]


def trainer(cfg: DictConfig, callbacks: "list[pl.Callback]", loggers: list[Any], span: bool) -> "pl.Trainer":
    """Lightning's Trainer. ``span``: executions may hold several epochs, as the DataModule says.

    Raises:
        UserError: Lightning refuses an option, or the accelerator is not there.
    """
    import lightning.pytorch as pl
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import Checkpoint

    options: Any = OmegaConf.to_container(_without(cfg.trainer, "steps_per_execution", "threads"), resolve=True)
    if why_plain(cfg) is None:
        # In the fast path the module clips; to Lightning such a module optimizes "manually".
        options |= {"gradient_clip_val": None, "gradient_clip_algorithm": None}
    if span:
        options["limit_val_batches"] = 0  # epochs are validated inside an execution
    try:
        return pl.Trainer(
            **options,
            callbacks=callbacks,
            logger=loggers or False,
            # Or Lightning would add its own, which writes to wherever the command was started.
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        asked = ", ".join(f"trainer.{name}={options[name]}" for name in ("accelerator", "devices", "strategy"))
        raise UserError(f"{asked}: {str(error).splitlines()[0]}") from error


def _input(cfg: DictConfig, features: int) -> dict[str, int]:
    """What a net is told of its input; one without such an argument, nn.Sequential say, is told nothing."""
    try:
        known = inspect.signature(resolve(cfg.model._target_, "model")).parameters.values()
    except (TypeError, ValueError):  # no signature to be had
        return {"features": features}
    takes = any(each.name == "features" or each.kind is each.VAR_KEYWORD for each in known)
    return {"features": features} if takes else {}


def is_scratch(cfg: DictConfig) -> bool:
    """Whether the model is the hand-written baseline."""
    return cfg.model._target_.endswith(".Scratch")


def _scratch(cfg: DictConfig, features: int, record: "Record") -> "Scratch":
    plain = why_plain(cfg)
    if plain and cfg.trainer.steps_per_execution != 1:
        raise UserError(f"model=scratch trains in full precision on one device, found {plain}")
    # Partial, because Hydra would copy objects that it is handed.
    make = construct(_without(cfg.model, "standardize"), "model", _partial_=True)
    with _started_from(cfg):
        return make(
            features=features,
            loss=construct(cfg.loss, "loss"),
            lr=cfg.optimizer.lr,
            seed=cfg.seed,
            record=record,
        )


def _schedule(cfg: DictConfig, data: "DataModule") -> Any:
    from src.training.schedule import Schedule

    if not cfg.scheduler.get("_target_"):
        return None
    factory = construct(_without(cfg.scheduler, "interval", "monitor"), "scheduler")
    default = "val/mse" if len(data.rows["val"]) else "train/loss"
    return Schedule(factory, cfg.scheduler.interval, cfg.scheduler.monitor or default)


def _try_out(regressor: "Regressor", cfg: DictConfig) -> None:
    """Calls the constructors that training will call, so that a wrong argument shows now."""
    import torch

    key = "optimizer"
    try:
        optimizer = regressor._make_optimizer([torch.zeros(1, requires_grad=True)])
        key = "scheduler"
        if regressor._schedule is not None:
            regressor._schedule.build(optimizer, 10, 10)
    except (ValueError, TypeError) as error:
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from error


def _dtype(cfg: DictConfig) -> type[np.floating[Any]]:
    return np.float64 if str(cfg.trainer.precision).startswith("64") else np.float32


@contextmanager
def _started_from(cfg: DictConfig) -> Iterator[None]:
    """Random starts follow from the seed; given ones are exact in the run's precision."""
    import torch

    torch.manual_seed(cfg.seed)
    with precision(cfg):
        yield


@contextmanager
def precision(cfg: DictConfig) -> Iterator[None]:
    """New parameters have the run's precision."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if _dtype(cfg) is np.float64 else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _without(node: DictConfig, *keys: str) -> DictConfig:
    return OmegaConf.create({key: node._get_node(key) for key in node if key not in keys})
