"""Which jobs can be trained as one, and in one line each why others cannot.

A job is given by its resolved configuration, flattened: dotted names to plain values.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from src.config import optimization, way
from src.config.kinds import resolve
from src.config.values import Config
from src.runs.ensemble import is_several

Flat = Mapping[str, Any]

_OWN = (
    "src.training.checkpoints.Checkpoints",
    "src.training.progress.Progress",
    "src.training.tensorboard.TensorBoard",
)
_HOW = ("fused", "foreach")  # ways of torch to do the same arithmetic
# What training reads, besides the loss and the nets: everything else may differ between members.
_READ = ("objective", "data", "optimizer", "scheduler", "trainer", "callbacks", "logger")
_FIXED_SCHEDULE = {"scheduler._target_", "scheduler._partial_", "scheduler.interval", "scheduler.monitor"}


def why_alone(flat: Flat, cfg: Config) -> str | None:
    """Why a job has to be trained by itself; None where it can be a member of a stack.

    Args:
        flat: its configuration.
        cfg: the same, nested.
    """
    if reason := way.why_plain(cfg) or optimization.why_not_elementwise(cfg):
        return reason
    target = str(flat["optimizer._target_"])
    if str(flat["scheduler._target_"]).endswith(".ReduceLROnPlateau") and not _settings(target):
        return f"scheduler=plateau gives each member a learning rate of its own, and {target} has no rule for that"
    for group in ("callbacks", "logger"):
        for name, node in (cfg.get(group) or {}).items():
            if node.get("_target_") not in _OWN and not _is_stopping(str(node.get("_target_"))):
                return f"{group}.{name} follows a training of its own"
    if is_several(cfg):
        return "its own models are a stack"
    if flat.get("descent"):
        return "descent=true draws it"
    if (flat["resume"] or flat["rerun"]) is not None:
        return "it goes on with another run, or repeats one"
    return None


def structure(flat: Flat) -> tuple[tuple[str, str], ...]:
    """What all members of a stack have in common, from their values; their nets have to agree as well."""
    settings = _settings(str(flat["optimizer._target_"]))
    common = []
    for name, value in flat.items():
        group, _, last = name.partition(".")
        if group not in _READ and name != "model.standardize":
            continue
        node, _, setting = name.rpartition(".")
        if group == "callbacks" and setting not in ("_target_", "monitor") and _is_stopping(flat[f"{node}._target_"]):
            continue
        if settings and (last in settings and group == "optimizer"):
            continue
        if settings and (name == "trainer.max_epochs" or (group == "scheduler" and name not in _FIXED_SCHEDULE)):
            continue
        # A schedule that counts steps counts those of all members, and a limit of steps cuts each size elsewhere.
        counted = flat.get("scheduler.interval") == "step" or flat["trainer.max_steps"] != -1
        if settings and name == "data.batch_size" and isinstance(value, int) and not counted:
            value = int(math.log2(value))  # within a factor of two, filling up costs less than another stack
        common.append((name, repr(value)))
    return tuple(sorted(common))


def model(flat: Flat) -> tuple[tuple[str, str], ...]:
    """What the nets of a stack have in common where nothing is known of them: all but how they start and drop out."""
    own = [(n, repr(v)) for n, v in flat.items() if n.startswith("model.") and not n.startswith("model.init.")]
    return *((n, v) for n, v in own if n != "model.dropout"), ("dropout", repr(bool(flat.get("model.dropout"))))


def differing(flats: list[Flat]) -> list[str]:
    """The names whose values differ between jobs."""
    first = flats[0]
    names = dict.fromkeys(name for flat in flats for name in flat)
    return [name for name in names if any(flat.get(name) != first.get(name) for flat in flats[1:])]


@cache
def _is_stopping(target: str) -> bool:
    """Whether a callback is a reason to stop, which the history asks for each member."""
    from src.training.early_stopping import Stopping

    found = resolve(target, "callbacks")
    return isinstance(found, type) and issubclass(found, Stopping)


def _settings(target: str) -> frozenset[str]:
    """Hyperparameters in which members may differ; none where torch's own optimizer has to update all of them."""
    from src.training.member_optimizers import UPDATES

    return next((own for kind, (_, own) in UPDATES.items() if target == f"torch.optim.{kind.__name__}"), frozenset())
