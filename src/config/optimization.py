"""Configuration to what trains: the LightningModule, its optimizer, its schedule and its bound on gradients."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from src.config.build import construct
from src.config.kinds import resolve
from src.config.losses import losses
from src.config.values import Config, container
from src.errors import UserError, first_line

if TYPE_CHECKING:
    from src.data.module import DataModule
    from src.training.engine import Clip
    from src.training.history import History
    from src.training.plain import Plain
    from src.training.schedules import Schedule
    from src.training.stack import Lone

_elementwise: dict[str, bool] = {}  # what trying an optimizer has shown, by its node


def makers(nodes: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """Constructors of optimizers or schedulers, for nodes that differ in plain values; equal ones are one object.

    Raises:
        UserError: the first of them cannot be constructed, or is of another kind.
    """
    made: dict[str, Any] = {}
    found = []
    for node in nodes:
        text = repr(node)
        if text not in made:
            alike = next((make for make in made.values() if node["_target_"] == nodes[0]["_target_"]), None)
            nested = any(isinstance(value, dict) for value in node.values())
            options = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
            made[text] = construct(dict(node), key) if alike is None or nested else partial(alike.func, **options)
        found.append(made[text])
    return found


def schedules(cfgs: Sequence[Config], data: "DataModule") -> "list[Schedule | None]":
    """When and how learning rates change for each member; None where they do not.

    Args:
        cfgs: of each.
        data: of all.
    """
    from src.training.schedules import Schedule

    nodes = [container(cfg.scheduler) for cfg in cfgs]
    if not nodes[0].get("_target_"):
        return [None] * len(nodes)
    default = "val/mse" if len(data.parts[0].rows["val"]) else "train/loss"
    own = ("interval", "monitor")
    factories = makers([{k: v for k, v in node.items() if k not in own} for node in nodes], "scheduler")
    found: list[Schedule | None] = []
    for make, cfg, batches in zip(factories, cfgs, data.gather.steps, strict=True):
        trainer, interval = cfg.trainer, str(cfg.scheduler.interval)
        steps = -(-batches // trainer.accumulate_grad_batches)
        limits = (trainer.max_epochs * steps if trainer.max_epochs != -1 else -1, trainer.max_steps)
        most = min((limit for limit in limits if limit != -1), default=1)
        length = max(most if interval == "step" else -(-most // steps), 1)
        found.append(Schedule(make, interval, str(cfg.scheduler.monitor or default), length))
    return found


def module(cfg: Config, member: "Lone", data: "DataModule", history: "History", plain: bool) -> "Plain":
    """The LightningModule of a lone run: net, loss, optimizer and schedule, each tried once before training starts.

    Raises:
        UserError: one of them refuses its arguments.
    """
    from src.training.lone_engine import LoneEngine
    from src.training.plain import Plain

    [loss] = losses([cfg])
    [optimizer] = makers([container(cfg.optimizer)], "optimizer")
    [schedule] = schedules([cfg], data)
    try_out(optimizer, schedule)
    arguments = (member, loss, optimizer, schedule, history)
    if is_by_hand(cfg):  # Lightning has no step for it, so an execution of one serves where one is asked for
        return LoneEngine(*arguments, by_hand=float(cfg.optimizer.lr))
    return Plain(*arguments) if plain else LoneEngine(*arguments, clip=clip(cfg))


def clip(cfg: Config) -> "Clip | None":
    """The bound on gradients and what it bounds; None where there is none."""
    bound = cfg.trainer.gradient_clip_val
    return None if bound is None else (float(bound), str(cfg.trainer.gradient_clip_algorithm))


def is_by_hand(cfg: Config) -> bool:
    """Whether the model brings its own update."""
    return hasattr(resolve(cfg.model._target_, "model"), "step_by_hand")


def why_not_elementwise(cfg: Config) -> str | None:
    """Why an optimizer needs Lightning's own step; None where the engine can take it, which is tried once for all
    learning rates.

    Raises:
        UserError: it cannot be constructed, or is of another kind.
    """
    from src.training.optimizers import is_elementwise

    node = container(cfg.optimizer)
    key = repr({name: value for name, value in node.items() if type(value) not in (int, float)})
    if not _elementwise.get(key):  # one that refuses its numbers decides for no other
        [make] = makers([node], "optimizer")
        _elementwise[key] = is_elementwise(make)
    return None if _elementwise[key] else f"{node.get('_target_')} is not seen to update each number by itself"


def try_out(make: Any, schedule: "Schedule | None") -> None:
    """Calls the constructors that training will call, so that a wrong argument shows now.

    Args:
        make: of the optimizer.
        schedule: and its schedule.

    Raises:
        UserError: one of them refuses its arguments.
    """
    import torch

    key = "optimizer"
    try:
        optimizer = make([torch.zeros(1, requires_grad=True)])
        key = "scheduler"
        if schedule is not None:
            schedule.check()
            schedule.build(optimizer)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        raise UserError(f"{key}: {first_line(error)}") from error
