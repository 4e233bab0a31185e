"""Which jobs can be trained as one, and in one line each why others cannot.

A job is given by its resolved configuration, flattened: dotted names to plain values.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from src.stacking.losses import LOSSES
from src.stacking.rules import FLAGS, HYPERPARAMETERS

Flat = Mapping[str, Any]

MODELS = ("src.models.linear.linear", "src.models.mlp.MLP", "src.training.scratch.Scratch")
_OWN = (
    "src.training.checkpoints.Checkpoints",
    "src.training.progress.Progress",
    "src.training.tensorboard.TensorBoard",
)
_HOW = ("fused", "foreach")  # ways of torch to do the same arithmetic
_SCHEDULERS = "torch.optim.lr_scheduler."

# What may differ between the members of a stack. Everything else has to be equal.
_MEMBERS = {"name", "seed", "model.init.weight", "model.init.bias", "model.dropout", "loss._target_", "loss.delta"}
_MEMBERS |= {f"optimizer.{name}" for names in HYPERPARAMETERS.values() for name in names}
_FIXED_SCHEDULE = {"scheduler._target_", "scheduler._partial_", "scheduler.interval", "scheduler.monitor"}


def why_alone(flat: Flat) -> str | None:
    """Why a job has to be trained by itself; None where it can be a member of a stack."""
    if flat["model._target_"] not in MODELS:
        return f"model {flat['model._target_']} has no stacked form"
    if flat["loss._target_"] not in LOSSES:
        return f"loss {flat['loss._target_']} has no stacked form"
    optimizer = flat["optimizer._target_"]
    if optimizer not in HYPERPARAMETERS:
        return f"optimizer {optimizer} has no stacked form"
    for name in _under(flat, "optimizer"):
        known = name in HYPERPARAMETERS[optimizer] or name in FLAGS or name in _HOW
        if not known and not name.startswith("_"):
            return f"optimizer.{name} has no stacked form"
    scheduler = flat["scheduler._target_"]
    if scheduler and not str(scheduler).startswith(_SCHEDULERS):
        return f"scheduler {scheduler} has no stacked form"
    for group in ("callbacks", "logger"):
        for name in _under(flat, group):
            if name.endswith("._target_") and flat[f"{group}.{name}"] not in _OWN:
                return f"{group}.{name.removesuffix('._target_')} follows a training of its own"
    if isinstance(flat["objective"], list):
        return "it has several objectives"
    if flat["resume"] is not None:
        return "it resumes another run"
    if flat["figures"] is True or flat["graph"]:
        return "it draws figures"
    if flat["trainer.max_steps"] != -1:
        return f"trainer.max_steps={flat['trainer.max_steps']} may end inside an epoch"
    return None


def structure(flat: Flat) -> tuple[tuple[str, str], ...]:
    """What all members of a stack have in common."""
    common = [(name, repr(value)) for name, value in flat.items() if not _is_members(name)]
    common.append(("with dropout", repr(bool(flat.get("model.dropout")))))
    return tuple(sorted(common))


def differing(flats: list[Flat]) -> list[str]:
    """The names whose values differ between jobs."""
    first = flats[0]
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if any(flat.get(name) != first.get(name) for flat in flats[1:])]


def flatten(container: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names; lists stay values."""
    found: dict[str, Any] = {}
    for key, value in container.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            found.update(flatten(value, name))
        else:
            found[name] = value
    return found


def nested(flat: Flat, group: str) -> dict[str, Any]:
    """The mapping that stands at ``group``."""
    found: dict[str, Any] = {}
    for name in _under(flat, group):
        *parents, last = name.split(".")
        node = found
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = flat[f"{group}.{name}"]
    return found


def _under(flat: Flat, group: str) -> Iterable[str]:
    start = f"{group}."
    return [name.removeprefix(start) for name in flat if name.startswith(start)]


def _is_members(name: str) -> bool:
    return name in _MEMBERS or (name.startswith("scheduler.") and name not in _FIXED_SCHEDULE)
