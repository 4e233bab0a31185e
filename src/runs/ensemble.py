"""A run of several models, folds or seeds: each is an ordinary run in members/, and they predict together."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.config import build
from src.config.values import Config, Values
from src.data.cells import harmless
from src.data.table import Column, Table
from src.errors import UserError, first_line
from src.runs.baselines import BASELINES, fitted
from src.training.task import METRICS, figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from src.data.partition import Partition
    from src.training.predictor import Predictor

    Predict = Callable[[np.ndarray], np.ndarray]


class Ensemble:
    """The mean of predictors' predictions, in the target's unit.

    Args:
        members: of one table's columns.
    """

    def __init__(self, members: "Sequence[Predictor]") -> None:
        self.members = list(members)
        self.encoder, self.dtype = members[0].encoder, members[0].dtype

    def on(self, columns: list[Column]) -> "Predict":
        """Predictions (rows,), float64, of raw features (rows, features) as a table with such columns has them."""
        predicts = [member.on(columns) for member in self.members]  # to each its own places of categories
        return lambda features: np.mean([predict(features) for predict in predicts], axis=0)


def is_several(cfg: Config) -> bool:
    """Whether a configuration asks for several models that predict together."""
    return cfg.get("ensemble") is not None or (cfg.get("folds") is not None and cfg.get("fold") is None)


def members(cfg: Config) -> list[tuple[Values, list[str]]]:
    """The configuration of each model of a run, and the overrides that make it from the run's."""
    found = []
    for place in range(cfg.folds or cfg.ensemble):
        if cfg.folds:
            found.append((Values(cfg, fold=place), [f"fold={place}"]))
        else:
            data = Values(cfg.data, split_seed=split_seed(cfg))
            seed = cfg.seed + place
            own = ["ensemble=null", f"seed={seed}", f"data.split_seed={data.split_seed}"]
            found.append((Values(cfg, ensemble=None, seed=seed, data=data), own))
    return found


def split_seed(cfg: Config) -> int:
    """What decides which rows are kept from training."""
    seed = cfg.data.get("split_seed")
    return cfg.seed if seed is None else seed


@dataclass
class Judged:
    """What models come to together.

    ``figures`` are those of the ensemble by SPLIT/METRIC: of folds ``oof`` is over the rows that each did not see, and
    ``train`` and ``val`` are means over the members; ``deviations`` are theirs from member to member. ``out_of_fold``
    has a line (row, fold, target, prediction) for each row that is not of the test, as columns. ``errors`` (rows,) are
    absolute ones of the ensemble on the test rows.
    """

    figures: dict[str, float]
    deviations: dict[str, float]
    errors: np.ndarray
    out_of_fold: dict[str, np.ndarray]

    def interval(self, level: float) -> dict[str, float]:
        """Its half width, and which share of the test rows it holds, where there are such rows."""
        half = half_width(self.out_of_fold, level)
        found = {"level": level, "half_width": half}
        return found | ({"coverage": float(np.mean(self.errors <= half))} if len(self.errors) else {})


def judge(predicts: "Sequence[Predict]", parts: "Sequence[Partition]", folds: bool) -> Judged:
    """The figures of models that predict together.

    Args:
        predicts: raw features (rows, features), recoded for it, to predictions (rows,), of each.
        parts: the rows of each.
        folds: whether validation rows are folds, which no two models share.
    """
    each: list[dict[str, float]] = []
    lines: list[tuple[np.ndarray, ...]] = []
    for place, (predict, part) in enumerate(zip(predicts, parts, strict=True)):
        own: dict[str, float] = {}
        for name in (split for split in part.splits() if split != "test"):
            pairs = [(predict(features), target) for features, target in part.chunks(name)]
            own |= {f"{name}/{metric}": value for metric, value in figures(pairs, part.variance(name)).items()}
            if name == "val" and folds:
                predicted, target = (np.concatenate(column) for column in zip(*pairs, strict=True))
                lines.append((part.rows[name], np.full(len(target), place), target, predicted))
        each.append(own)
    found = {name: float(np.mean([own[name] for own in each])) for name in each[0]}
    deviations = {name: float(np.std([own[name] for own in each], ddof=1)) for name in each[0]}
    columns: dict[str, np.ndarray] = {}
    if lines:
        rows, fold, target, predicted = (np.concatenate(column) for column in zip(*lines, strict=True))
        order = np.argsort(rows, kind="stable")
        columns = {"row": rows[order], "fold": fold[order], "target": target[order], "prediction": predicted[order]}
        found |= _named("oof", figures([(predicted, target)], float(target.astype(np.float64).var())))
    errors = np.empty(0)
    if "test" in parts[0].splits():
        pairs = []
        for chunks in zip(*(part.chunks("test") for part in parts), strict=True):  # recoded for each member
            guesses = [predict(features) for predict, (features, _) in zip(predicts, chunks, strict=True)]
            pairs.append((np.mean(guesses, axis=0), chunks[0][1]))
        found |= _named("test", figures(pairs, parts[0].variance("test")))
        errors = np.concatenate([np.abs(predicted - target) for predicted, target in pairs])
    return Judged(found, deviations, errors, columns)


def baselines(parts: "Sequence[Partition]", folds: bool) -> dict[str, dict[str, float]]:
    """The same figures of each baseline, one model of it for each member's rows."""
    found = {}
    for name in BASELINES:
        predicts = [predict for part in parts if (predict := fitted(name, part)) is not None]
        if len(predicts) == len(parts):
            found[name] = judge(predicts, parts, folds).figures
    return found


def half_width(columns: dict[str, np.ndarray], level: float) -> float:
    """How far to each side of a prediction an interval goes that holds the target in ``level`` of the cases.

    The quantile of the out-of-fold errors, as large as finitely many of them need (cross-conformal: Vovk, 2015).
    Infinite where they are too few for the level.
    """
    errors = np.sort(np.abs(columns["prediction"] - columns["target"]))
    place = int(np.ceil((len(errors) + 1) * level))
    return float(errors[place - 1]) if place <= len(errors) else float("inf")


def read_out_of_fold(path: Path) -> dict[str, np.ndarray]:
    """The columns of predictions_oof.csv.

    Raises:
        UserError: the run has no such file, or it is damaged.
    """
    try:
        lines = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, usecols=(-4, -3, -2, -1))
    except FileNotFoundError:
        raise UserError(
            f"{path.parent}: an interval needs rows that no model saw; a run with folds=5 has them"
        ) from None
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from None
    return dict(zip(("row", "fold", "target", "prediction"), lines.T, strict=True))


def write_out_of_fold(path: Path, columns: dict[str, np.ndarray], target: str) -> None:
    """predictions_oof.csv: a line for each row that some model did not see, counted from 0 without the header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["row", "fold", harmless(target), harmless(f"{target}_predicted")])
        lines.writerows(zip(*(columns[name].tolist() for name in columns), strict=True))


def verdict(own: dict[str, float], others: dict[str, dict[str, float]]) -> str | None:
    """One line where a baseline has less error than the models; None where none has."""
    name = next((name for name in ("test/rmse", "oof/rmse", "val/rmse") if name in own), None)
    if name is None:
        return None
    best = min(others, key=lambda each: others[each][name])
    if others[best][name] >= own[name]:
        return None
    return f"{best} has less error than this model: {name} {others[best][name]:.6g} against {own[name]:.6g}"


def partition_of(cfg: Config, rows: Table) -> "list[Partition]":
    """What each member learns from."""
    return [build.partition(own, rows) for own, _ in members(cfg)]


def _named(split: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{split}/{metric}": values[metric] for metric in METRICS}
