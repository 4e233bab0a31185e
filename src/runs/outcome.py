"""What a training came to: one way from weights and a history to a summary and a run folder, for 1 to N runs."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from src.checks.training import no_better
from src.config import build
from src.config.objective import objectives
from src.config.values import Config
from src.data.executions import step_rows
from src.data.partition import Partition
from src.models.least_squares import largest_stable_lr, parameters
from src.runs.baselines import asked
from src.runs.folder import RunFolder
from src.runs.reference import Reference
from src.training.history import History
from src.training.predictor import Predictor, figures_of
from src.training.stack import ROW
from src.training.task import ABSURD, complaint, objective_of, overall

if TYPE_CHECKING:
    from torch import nn

    from src.training.epochs import Members

Decode = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


@dataclass
class Member:
    """A run that was trained, alone or with others.

    Args:
        place: of its weights in the history.
        cfg: its configuration, resolved.
        command, overrides: how it was asked for.
        folder: where it goes.
        reference: of its rows.
        surroundings: the environment, as summary.json has it.
        seconds: what was measured so far.
    """

    place: int
    cfg: Config
    command: str
    overrides: Sequence[str]
    folder: RunFolder
    reference: Reference
    surroundings: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


def summarize(member: Member, history: History, trained: "Members", net: "nn.Module") -> dict[str, Any]:
    """What a run came to, ``seconds`` still open; ``stopped`` is there where a reason to stop says why.

    Args:
        member: which of the history's.
        history: of the training, closed.
        trained: whose form the history's rows have.
        net: of the run's form; gets the weights that predict, those of the best epoch where there is one.

    Returns:
        summary.json. ``status`` is completed, stopped early, diverged, pruned or interrupted.
    """
    place, cfg = member.place, member.cfg
    status = history.stopped[place] or "completed"
    said = history.complaints.get(place)
    net.load_state_dict(trained.state(history.of(place, best=True), place))
    predictor = Predictor(net, member.reference.part.encoder, build.levels(cfg))
    result: dict[str, Any] = {"metrics": {}, "parameters": {}}
    if status != "diverged":
        if not bool(history.last[ROW][place].isfinite().all()):
            said = "the weights after the last step are not finite"
        else:
            result = outcome(predictor, member.reference.part)
            mse = result["metrics"]["train/mse"]
            if not mse <= ABSURD * _size(member.reference.part):
                said = complaint("the mean squared error at the end", mse)
        if said:
            status, result = "diverged", {"metrics": {}, "parameters": {}}
    summary: dict[str, Any] = {
        "status": status,
        "command": member.command,
        "overrides": list(member.overrides),
        "seed": cfg.seed,
        # The epoch in which a run diverges counts, though it was never closed.
        "epochs": int(history.epochs[place]) + (history.stopped[place] == "diverged"),
        "steps": int(history.steps[place]),
    }
    if history.best_epoch[place]:
        summary["best_epoch"] = int(history.best_epoch[place])
    for own in (each[place] for each in history.stoppers if each[place].reason == status):
        every = (cfg.trainer.check_val_every_n_epoch or 1) if own.monitor.startswith("val/") else 1
        if why := own.why(summary["epochs"], every):
            summary["stopped"] = why
    aims = objectives(cfg)
    summary |= {"metrics": result["metrics"], "objective": objective_of(result["metrics"], aims[0])}
    summary |= {"parameters": result["parameters"], "reference": member.reference.described}
    if "interval" in result:
        summary["interval"] = result["interval"]
    if len(aims) > 1:
        summary["objectives"] = [objective_of(result["metrics"], aim) for aim in aims]
    if result["metrics"] and (names := asked(cfg.get("baselines"))):
        summary["baselines"] = member.reference.baselines(names)
        if note := no_better(result["metrics"], summary["baselines"]):
            summary["note"] = note
    if said:
        summary["message"] = said + advice(cfg, member.reference.part)
    return summary | {
        "seconds": member.seconds,
        "data": member.reference.data,
        "environment": member.surroundings,
    }


def outcome(predictor: Predictor, part: Partition) -> dict[str, Any]:
    """Metrics by split, the learned parameters of a straight line, and of quantiles what lies between the outermost."""
    levels, of = predictor.levels, (part.table.feature_names, part.table.target_names)
    named = parameters(lines, *of) if (lines := predictor.lines()) else {}
    result: dict[str, Any] = {"metrics": figures_of(predictor, part), "parameters": named}
    if len(levels) > 1:
        coverage = {name: _coverage(predictor, part, name) for name in part.splits()}
        result["interval"] = {"levels": [min(levels), max(levels)], "coverage": coverage}
    return result


def _coverage(predictor: Predictor, part: Partition, split: str) -> float:
    """Which share of a part's targets lies between the outermost quantiles."""
    inside = []
    for features, target in part.chunks(split):
        found = predictor.outputs(features)
        inside.append((found.min(axis=1) <= target[:, 0]) & (target[:, 0] <= found.max(axis=1)))
    return float(np.average(np.concatenate(inside), weights=part.weights(split)))


def advice(cfg: Config, part: Partition) -> str:
    """The learning rate of a run that diverged, and how large a one would have been stable where that is known."""
    said = f" (optimizer.lr={cfg.optimizer.get('lr')})"
    straight = cfg.model._target_.endswith((".Scratch", ".linear"))
    optimizer, rows = cfg.optimizer, len(part.rows["train"])
    if (
        straight
        and cfg.loss._target_.endswith(".MSELoss")
        and optimizer._target_.endswith(".SGD")
        and step_rows(cfg.data.batch_size, rows) == rows
        and not optimizer.nesterov
        and not optimizer.weight_decay
    ):
        largest = largest_stable_lr(part.encoded("train")[0].numpy(), optimizer.momentum, part.weights("train"))
        said += f"; the largest stable learning rate of this data is {largest:.5f}"
    return said


def _size(part: Partition) -> float:
    """The mean squared error of predicting 0 everywhere, as the net sees the targets, as ``figure_names`` has it."""
    target = part.encoder.decode(part.scale[1])
    nothing = part.encoder.decode(part.scale[1].new_zeros(1, target.shape[1]))
    squares = torch.from_numpy(np.square(target - nothing).mean(axis=0))
    return float(overall("mse", squares, 1, torch.from_numpy(part.variance("train")))) or math.inf


def decoder(parts: Sequence[Partition], nets: "Sequence[nn.Module]") -> Decode | None:
    """What reads slope and intercept, in raw units, from the rows (epochs, members, 2) of members that are such lines.

    None where they are not.
    """
    encoders = [part.encoder for part in parts]
    if not all(encoder.is_affine for encoder in encoders) or not all(_is_line(net) for net in nets):
        return None
    x0, dx = (np.array([float(getattr(e.numbers, n)[0]) for e in encoders]) for n in ("shift", "scale"))
    y0, dy = (np.array([getattr(e.targets[0], n) for e in encoders]) for n in ("shift", "scale"))

    def decode(rows: np.ndarray, present: np.ndarray) -> dict[str, np.ndarray]:
        slope = rows[:, :, 0] * (dy / dx)[present]
        return {"slope": slope, "intercept": rows[:, :, 1] * dy[present] + y0[present] - slope * x0[present]}

    return decode


def _is_line(net: "nn.Module") -> bool:
    """Whether a net is a straight line of one feature: a weight and a bias, one number each."""
    return {name: part.numel() for name, part in net.named_parameters()} == {"weight": 1, "bias": 1}


def elapsed(since: float) -> float:
    """Seconds since a moment of ``time.perf_counter``."""
    return time.perf_counter() - since
