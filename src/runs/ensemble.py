"""A run of several models, folds or seeds: each is an ordinary run in members/, and they predict together."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config import build
from src.config.values import Config, Values
from src.data.cells import harmless
from src.data.table import Column, Table, one_or_all, variances
from src.runs.baselines import fitted
from src.runs.interval import half_width
from src.training.task import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from src.data.encoder import Encoder
    from src.data.partition import Partition
    from src.training.predictor import Predictor

    Predict = Callable[[np.ndarray], np.ndarray]


class Ensemble:
    """The mean of predictors' predictions, in the target's unit.

    Args:
        members: of one table's columns.
        weights: of each, with a sum of 1; None: all count the same.
    """

    def __init__(self, members: "Sequence[Predictor | Ensemble]", weights: Sequence[float] | None = None) -> None:
        self.members, self.weights = list(members), weights
        self.encoder: Encoder = members[0].encoder
        self.dtype: np.dtype[Any] = members[0].dtype
        first: list[float] = members[0].levels
        self.levels: list[float] = first if all(member.levels == first for member in members) else [0.5]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Predictions (rows, targets), float64, for raw features (rows, features), recoded alike for all members."""
        return np.average([predict(features) for predict in self.members], axis=0, weights=self.weights)

    def on(self, columns: list[Column], every: bool = False) -> "Predict":
        """Predictions (rows, targets), or ``every`` output, of raw features as a table with such columns has them.

        Both float64; features are (rows, features).
        """
        several = every and len(self.levels) > 1
        predicts = [member.on(columns, several) for member in self.members]  # to each its own places of categories
        return lambda features: np.average([each(features) for each in predicts], axis=0, weights=self.weights)

    def flat(self) -> "list[tuple[Predictor, float]]":
        """Every predictor within, with its share of the prediction."""
        weights = self.weights or [1 / len(self.members)] * len(self.members)
        pairs = zip(self.members, weights, strict=True)
        return [(each, share * weight) for member, weight in pairs for each, share in member.flat()]


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
    has for each target a line (row, fold, target, prediction) for each row that is not of the test, as columns, and
    what it weighs where rows are weighed. ``errors`` (rows, targets) are absolute ones of the ensemble on the test
    rows, which ``weights`` say how much each counts.
    """

    figures: dict[str, float]
    deviations: dict[str, float]
    errors: np.ndarray
    out_of_fold: list[dict[str, np.ndarray]]
    weights: np.ndarray | None = None

    def interval(self, level: float) -> dict[str, Any]:
        """Its half width, and which share of the test rows it holds, where there are such rows; see ``one_or_all``."""
        halves = [half_width(columns, level) for columns in self.out_of_fold]
        found = {"level": level, "half_width": one_or_all(halves)}
        inside = self.errors <= halves
        shares = np.average(inside, axis=0, weights=self.weights).tolist() if len(inside) else []
        return found | ({"coverage": one_or_all(shares)} if shares else {})


def judge(predicts: "Sequence[Predict]", parts: "Sequence[Partition]", folds: bool) -> Judged:
    """The figures of models that predict together.

    Args:
        predicts: raw features (rows, features), recoded for it, to predictions (rows, targets), of each.
        parts: the rows of each.
        folds: whether validation rows are folds, which no two models share.
    """
    each: list[dict[str, float]] = []
    targets = parts[0].table.target_names
    lines: list[tuple[np.ndarray, ...]] = []
    for place, (predict, part) in enumerate(zip(predicts, parts, strict=True)):
        own: dict[str, float] = {}
        for name in (split for split in part.splits() if split != "test"):
            pairs = [(predict(features), target) for features, target in part.chunks(name)]
            own |= _named(name, figures(pairs, targets, part.variance(name), part.weights(name)))
            if name == "val" and folds:
                predicted, target = (np.concatenate(column) for column in zip(*pairs, strict=True))
                lines.append((part.rows[name], np.full(len(target), place), target, predicted))
        each.append(own)
    found = {name: float(np.mean([own[name] for own in each])) for name in each[0]}
    deviations = {name: float(np.std([own[name] for own in each], ddof=1)) for name in each[0]}
    columns: list[dict[str, np.ndarray]] = []
    if lines:
        rows, fold, target, predicted = (np.concatenate(column) for column in zip(*lines, strict=True))
        order = np.argsort(rows, kind="stable")
        common = {"row": rows[order], "fold": fold[order]}
        weights = parts[0].table.weight
        heavy = {} if weights is None else {"weight": weights[common["row"]].astype(np.float64)}
        both = zip(target[order].T, predicted[order].T, strict=True)
        columns = [common | {"target": own, "prediction": guess} | heavy for own, guess in both]
        found |= _named("oof", out_of_fold_figures(columns, targets))
    errors = np.empty((0, len(targets)))
    if "test" in parts[0].splits():
        pairs = []
        for chunks in zip(*(part.chunks("test") for part in parts), strict=True):  # recoded for each member
            guesses = [predict(features) for predict, (features, _) in zip(predicts, chunks, strict=True)]
            pairs.append((np.mean(guesses, axis=0), chunks[0][1]))
        found |= _named("test", figures(pairs, targets, parts[0].variance("test"), parts[0].weights("test")))
        errors = np.concatenate([np.abs(predicted - target) for predicted, target in pairs])
    return Judged(found, deviations, errors, columns, parts[0].weights("test"))


def out_of_fold_figures(columns: list[dict[str, np.ndarray]], targets: Sequence[str]) -> dict[str, float]:
    """Every figure of the columns of predictions_oof.csv, see ``read_out_of_fold``."""
    predicted, target = (np.column_stack([each[name] for each in columns]) for name in ("prediction", "target"))
    weights = columns[0].get("weight")
    return figures([(predicted, target)], targets, variances(target, weights), weights)


def baselines(parts: "Sequence[Partition]", folds: bool, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The same figures of each baseline, one model of it for each member's rows."""
    found = {}
    for name in names:
        predicts = [predict for part in parts if (predict := fitted(name, part)) is not None]
        if len(predicts) == len(parts):
            found[name] = judge(predicts, parts, folds).figures
    return found


def write_out_of_fold(path: Path, columns: list[dict[str, np.ndarray]], targets: Sequence[str]) -> None:
    """predictions_oof.csv: a line for each row that some model did not see, counted from 0 without the header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        pairs = [(name, columns[0][name]) for name in ("row", "fold")]
        for target, own in zip(targets, columns, strict=True):
            pairs += [(harmless(target), own["target"]), (harmless(f"{target}_predicted"), own["prediction"])]
        pairs += [(name, columns[0][name]) for name in ("weight",) if name in columns[0]]
        lines.writerow([name for name, _ in pairs])
        lines.writerows(zip(*(values.tolist() for _, values in pairs), strict=True))


def partition_of(cfg: Config, rows: Table) -> "list[Partition]":
    """What each member learns from."""
    return [build.partition(own, rows) for own, _ in members(cfg)]


def _named(split: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in values.items()}
