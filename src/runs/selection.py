"""Runs of the same folds that predict together, chosen and weighed by the rows that their models did not see."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config.objective import objective
from src.config.values import Config
from src.data.table import variances
from src.errors import UserError
from src.runs import ensemble
from src.runs.folder import RunFolder
from src.runs.restore import load_models
from src.runs.summary_file import summary_or_nothing
from src.training.task import figure, larger_is_better, objective_of

if TYPE_CHECKING:
    from src.data.table import Table

_START, _ROUNDS = 10, 40  # runs that the mixture begins with at most, and runs that are added one by one
_LEAST = 1e-9  # of what a mixture costs: less is rounding, and no gain


def greedy(
    predictions: np.ndarray,
    target: np.ndarray,
    metric: str,
    weights: np.ndarray | None = None,
    targets: Sequence[str] = ("",),
) -> np.ndarray:
    """How often each run is in the mixture, (runs,): ensemble selection (Caruana et al., 2004).

    From the best runs, as many as together are best, on: in each round the run whose addition helps most is added,
    which may be there already. The best mixture on the way is taken.

    Args:
        predictions: of rows that no model of its run saw, (runs, targets, rows), or (runs, rows) of one target.
        target: (targets, rows), or (rows,).
        metric: what is to be good, a name of ``figure_names``.
        weights: how much each row counts, (rows,); None for 1.
        targets: their names.
    """

    def costs(mixtures: np.ndarray) -> np.ndarray:
        return _costs(mixtures, target, metric, weights, targets)

    order = np.argsort(costs(predictions), kind="stable")[:_START]
    sums = predictions[order].cumsum(axis=0)
    starts = costs(np.stack([total / number for number, total in enumerate(sums, start=1)]))
    first = int(starts.argmin())
    often = np.zeros(len(predictions), int)
    often[order[: first + 1]] = 1
    best, least, total = often.copy(), starts[first], sums[first]
    for _ in range(_ROUNDS):
        tried = costs((total + predictions) / (often.sum() + 1))
        added = int(tried.argmin())
        often[added] += 1
        total = total + predictions[added]
        if tried[added] < least - _LEAST * abs(least):
            best, least = often.copy(), tried[added]
    return best


def crossed(
    predictions: np.ndarray,
    target: np.ndarray,
    fold: np.ndarray,
    metric: str,
    weights: np.ndarray | None = None,
    targets: Sequence[str] = ("",),
) -> tuple[float, float]:
    """The figures of a mixture, and of the best single run, on rows that chose neither.

    For each fold both are chosen by the other folds and judged by it.

    Args:
        predictions, target, metric, weights, targets: see ``greedy``.
        fold: of each row, (rows,).
    """
    mixed, single = np.empty_like(target), np.empty_like(target)
    for place in np.unique(fold):
        own, others = fold == place, fold != place
        seen = target[..., others], metric, None if weights is None else weights[others], targets
        often = greedy(predictions[..., others], *seen)
        mixed[..., own] = np.tensordot(often, predictions[..., own], 1) / often.sum()
        single[..., own] = predictions[_costs(predictions[..., others], *seen).argmin()][..., own]
    both = [_figures(found[None], target, metric, weights, targets).item() for found in (mixed, single)]
    return both[0], both[1]


def _costs(predictions: np.ndarray, target: np.ndarray, metric: str, *of: Any) -> np.ndarray:
    values = _figures(predictions, target, metric, *of)
    return np.nan_to_num(-values if larger_is_better(f"oof/{metric}") else values, nan=np.inf)


def _figures(
    predictions: np.ndarray, target: np.ndarray, metric: str, weights: np.ndarray | None, targets: Sequence[str]
) -> np.ndarray:
    """A figure of each mixture, (runs,)."""
    import torch

    errors = (predictions - target).reshape(len(predictions), -1, target.shape[-1])
    variance = torch.from_numpy(variances(np.atleast_2d(target).T, weights))
    weight = None if weights is None else torch.from_numpy(weights)
    return figure(metric, torch.from_numpy(errors), variance, weight, targets).numpy()


def write(
    folder: RunFolder, runs: Mapping[str, RunFolder], often: Sequence[int], cfg: Config, rows: "Table"
) -> dict[str, Any]:
    """Writes a folder that predicts and is evaluated as a run of folds is: each fold's model is a mixture.

    It holds copies of the runs' models, members/0 on: of fold 0 one for each run, then of fold 1.

    Args:
        folder: where; an older mixture there is replaced.
        runs: of the same folds of the same rows, by name.
        often: how often each is in the mixture.
        cfg: the configuration of the first of them.
        rows: what they learned.

    Returns:
        summary.json.

    Raises:
        UserError: something else is there, or it cannot be written or read back.
    """
    weights = [number / sum(often) for number in often]
    of = {"runs": list(runs), "weights": weights, "sha256": rows.sha256}
    before = _before(folder)
    if before and all(before.get(key, before["data"].get(key)) == value for key, value in of.items()):
        return before
    made = RunFolder(folder.path.with_name(f".{folder.path.name}.{os.getpid()}"))
    try:
        _copy(made, list(runs.values()), cfg.folds)
        made.write_summary({"weights": weights})
        summary = _judged(made, list(runs), weights, cfg, rows)
        made.write_summary(summary)
        _replace(made.path, folder.path)
    except OSError as error:
        raise UserError(f"{folder.path}: cannot be written ({error.strerror})") from error
    finally:
        rmtree(made.path, ignore_errors=True)
    return summary


def remove(folder: RunFolder) -> None:
    """Removes an older mixture.

    Raises:
        UserError: something else is there.
    """
    if _before(folder):
        _take_away(folder.path)


def _before(folder: RunFolder) -> dict[str, Any]:
    """The summary of a mixture that is there; {} where nothing is."""
    if not folder.path.exists():
        return {}
    summary = summary_or_nothing(folder.summary)
    if "weights" not in summary or "data" not in summary:
        raise UserError(f"{folder.path}: holds something else than runs that predict together, move it away")
    return summary


def _copy(folder: RunFolder, runs: Sequence[RunFolder], folds: int) -> None:
    """The models that predict, and what they need to be read."""
    rmtree(folder.path, ignore_errors=True)
    copytree(runs[0].path / ".hydra", folder.path / ".hydra")
    members = [run.members() for run in runs]
    for fold in range(folds):
        for place, models in enumerate(members):
            copy = folder.path / "members" / str(fold * len(runs) + place)
            copytree(models[fold].path / ".hydra", copy / ".hydra")
            copytree(models[fold].checkpoints, copy / "checkpoints", ignore=ignore_patterns("last.ckpt"))


def _judged(
    folder: RunFolder, runs: Sequence[str], weights: Sequence[float], cfg: Config, rows: "Table"
) -> dict[str, Any]:
    from src.runs.reference import Reference  # imports torch

    models, parts = load_models(folder, cfg, "best"), ensemble.partition_of(cfg, rows)
    judged = ensemble.judge(models, parts, True)
    ensemble.write_out_of_fold(folder.path / "predictions_oof.csv", judged.out_of_fold, rows.target_names)
    return {
        "status": "completed",
        "seed": cfg.seed,
        "metrics": judged.figures,
        "deviations": judged.deviations,
        "objective": objective_of(judged.figures, objective(cfg)),
        "interval": judged.interval(0.9),
        "data": Reference(parts[0]).data,
        "runs": list(runs),
        "weights": list(weights),
        "note": "runs and weights were chosen by the rows of oof/…, whose figures are too good therefore",
    }


def _replace(made: Path, path: Path) -> None:
    """Puts a folder in the place of another; of two processes at once, one of them does."""
    _take_away(path)
    with suppress(OSError):
        os.rename(made, path)


def _take_away(path: Path) -> None:
    """Removes an older mixture, or gives it another name where somebody has predictions of it."""
    if (path / "predictions").is_dir():
        places = (path.with_name(f"{path.name}.{number}") for number in count(1))
        os.rename(path, next(place for place in places if not place.exists()))
    rmtree(path, ignore_errors=True)
