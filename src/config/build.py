"""Configuration to objects: the one place that calls Hydra's instantiate.

What a configuration may construct, ``src.config.kinds`` decides; constructors take plain values and know no config.
"""

import inspect
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.utils import execution_whitelist, instantiate
from omegaconf import DictConfig

from src.config.answers import raised_by
from src.config.arguments import check_arguments
from src.config.kinds import check_kind, resolve
from src.config.values import Config, container, targets
from src.data.table import Table
from src.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from src.data.encoder import Shape
    from src.data.module import DataModule
    from src.data.partition import Partition

log = logging.getLogger(__name__)

# Keys of model that its constructor does not take.
_OURS = ("standardize", "scaling", "numeric_embedding", "batch_size", "patience", "start")
_MODULE_KEYS = (
    *("batch_size", "shuffle", "val_fraction", "test_fraction", "split_seed"),
    *("standardize", "scaling", "target_scaling", "numeric_embedding", "numeric_bins"),
)

_COPIES = 6  # of the weights in a training: themselves, gradient, two of an optimizer's, the best ones, a temporary


def construct(node: DictConfig | dict[str, Any], key: str, **extra: Any) -> Any:
    """The object that a node of the configuration describes.

    Args:
        node: its ``_target_`` and arguments.
        key: where it stands in the configuration; its first part says what kind of object it has to be.
        extra: further arguments, not from the configuration.

    Raises:
        UserError: it is of another kind or cannot be constructed; the message names the node.
    """
    # Every interpolation resolved: what is checked is what is built.
    values: Any = container(node) if isinstance(node, Mapping) else node
    # Hydra adds a whitelist to the one of hydra.main unless told to reset: this one is the only one in force.
    allowed = execution_whitelist(sorted(check_kind(values, key)), reset=True)
    check_arguments(values, key, extra)
    try:
        return instantiate(values, **extra, _execution_whitelist_=allowed, _convert_="all")
    except Exception as error:  # whatever a constructor raises
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        said = " ".join(str(error.__cause__ or error).split())
        said = f"{type(cause).__name__}: {said}" if isinstance(cause, LookupError) or not said else said
        raise UserError(f"{key}: {raised_by(cause, [values['_target_']]) or said}") from error


def alike(nodes: Sequence[tuple[Any, str]]) -> list[Any]:
    """The objects of nodes, each with its key; equal nodes are one object."""
    made: dict[str, Any] = {}
    texts = [f"{key}: {container(node)}" for node, key in nodes]
    for text, (node, key) in zip(texts, nodes, strict=True):
        if text not in made:
            made[text] = construct(node, key)
    return [made[text] for text in texts]


def table(cfg: Config) -> Table:
    """The rows that ``data`` names, in the run's precision. Needs no torch."""
    started = time.perf_counter()
    rows: Table = construct(_without(cfg.data, *_MODULE_KEYS), "data", dtype=_dtype(cfg))
    return replace(rows, seconds=time.perf_counter() - started)


def partition(cfg: Config, rows: Table) -> "Partition":
    """The split of a table that a seed and a fold decide, with its encoder.

    Raises:
        UserError: the fractions leave fewer than two training rows.
    """
    from src.data.partition import Partition

    data = cfg.data
    seed = cfg.seed if data.get("split_seed") is None else data.split_seed
    fold = None if cfg.get("fold") is None else (cfg.fold, cfg.folds)
    return Partition(rows, data.val_fraction, data.test_fraction, *scalings(cfg), seed, fold)


def scalings(cfg: Config) -> tuple[str, str]:
    """How features and target are scaled: as ``data`` asks, or not at all where nothing is to be standardized."""
    data = cfg.data
    standardize = cfg.model.standardize if data.standardize == "auto" else data.standardize
    target = data.get("target_scaling", "auto")
    if target == "auto":  # of several each counts alike in the loss
        target = "standard" if standardize or len(targets(cfg)) > 1 else "none"
    scaling = data.get("scaling", "auto")
    scaling = cfg.model.get("scaling") or "standard" if scaling == "auto" else scaling
    return scaling if standardize else "none", target


def datamodule(
    cfg: Config,
    parts: "Sequence[Partition]",
    seeds: Sequence[int],
    batch_sizes: Sequence[int | str | None],
    plain: bool,
    span: bool,
) -> "DataModule":
    """The DataModule of members.

    Args:
        parts, seeds, batch_sizes: of each.
        plain: whether Lightning's own loop takes one optimizer step at a time.
        span: whether an execution may hold several epochs.
    """
    from src.data.module import DataModule

    steps = 1 if plain else cfg.trainer.steps_per_execution
    orders = [seed if cfg.data.shuffle else None for seed in seeds]
    return DataModule(parts, orders, batch_sizes, None if steps == "auto" else steps, span)


def net(cfg: Config, shape: "Shape", copies: int = _COPIES) -> "nn.Module":
    """The net of ``model``, started from the seed, in the run's precision.

    Args:
        shape: of its rows.
        copies: of its weights that there will be.

    Raises:
        UserError: it cannot be constructed, is too large for this machine's memory, or takes numbers only and the rows
            have codes of categories.
    """
    import torch

    _check_size(cfg, shape, copies)
    torch.manual_seed(cfg.seed)
    return _net(cfg, shape)


def _net(cfg: Config, shape: "Shape") -> "nn.Module":
    with precision(cfg):
        return _behind(construct(_without(cfg.model, *_OURS), "model", **_input(cfg, shape)), shape, cfg)


def _check_size(cfg: Config, shape: "Shape", copies: int) -> None:
    from src.config.size import check_size

    values = _without(cfg.model, *_OURS)
    check_size(values, f"{shape} {_dtype(cfg)}", sum(shape), shape.width, copies, lambda: _net(cfg, shape))


def net_factory(cfg: Config, shape: "Shape") -> "Callable[..., nn.Module]":
    """A constructor of ``model``'s net, for members that start differently; takes ``init`` where one has its own."""
    _check_size(cfg, shape, _COPIES)
    bare = construct(_without(cfg.model, *_OURS), "model", _partial_=True, **_input(cfg, shape))
    return lambda **init: _behind(bare(**init), shape, cfg)


def _behind(net: "nn.Module", shape: "Shape", cfg: Config) -> "nn.Module":
    """A net behind what its rows' codes and numbers become, where they become something, and beside its line."""
    from src.models.embedding import Embedded
    from src.models.numeric import spread
    from src.models.straight import Straight

    if shape.codes and hasattr(net, "step_by_hand"):
        raise UserError(
            "model=scratch takes numbers only; data.drop=[…] leaves out categories of more than nine values"
        )
    found = Embedded(net, shape.codes, shape.entries) if shape.codes else net
    found = spread(found, *_numeric(cfg, shape), rate=getattr(net, "embedding_rate", 1.0))
    own = shape.width, shape.codes, shape.entries, len(targets(cfg)) or 1
    return Straight(found, *own) if cfg.model.get("start") else found


def _numeric(cfg: Config, shape: "Shape") -> tuple[str, int, int]:
    """How numbers are embedded, how many there are, and into how many bins."""
    kind = cfg.data.get("numeric_embedding", "auto")
    kind = cfg.model.get("numeric_embedding") or "none" if kind == "auto" else kind
    return kind, shape.numbers, cfg.data.get("numeric_bins", 8)


def _input(cfg: Config, shape: "Shape") -> dict[str, int]:
    """What a net is told of its input and output; one without such arguments, nn.Sequential say, is told nothing."""
    from src.models.embedding import embedded_width
    from src.models.numeric import spread_width

    given = {"features": spread_width(embedded_width(shape.width, shape.codes), *_numeric(cfg, shape))}
    if (width := outputs(cfg)) > 1:
        given["outputs"] = width
    try:
        known = inspect.signature(resolve(cfg.model._target_, "model")).parameters.values()
    except (TypeError, ValueError):  # no signature to be had
        return given
    every = any(each.kind is each.VAR_KEYWORD for each in known)
    names = {each.name for each in known}
    found = {name: value for name, value in given.items() if every or name in names}
    # Only where it is asked for by name: a net that takes whatever comes knows of outputs alone.
    return found | ({"targets": len(targets(cfg))} if width > len(levels(cfg)) and "targets" in names else {})


def levels(cfg: Config) -> list[float]:
    """Which quantile of the target each of the net's outputs is, the prediction first; of most losses there is one."""
    from src.training.quantile import in_order

    return in_order(cfg.loss.get("levels") or [0.5])


def outputs(cfg: Config) -> int:
    """How many numbers a net gives for a row."""
    return max(len(levels(cfg)), len(targets(cfg)))


def _dtype(cfg: Config) -> type[np.floating[Any]]:
    return np.float64 if str(cfg.trainer.precision).startswith("64") else np.float32


@contextmanager
def precision(cfg: Config) -> Iterator[None]:
    """New parameters have the run's precision."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if _dtype(cfg) is np.float64 else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _without(node: Any, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in container(node).items() if key not in keys}
