"""What the pictures of a run are made of: from its folder, rows and models to plain arrays and words."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config.objective import monitored
from src.config.values import Config
from src.figures.canvas import number
from src.figures.curves import Course
from src.figures.rows import POINTS, Fit, Rows
from src.runs.ensemble import Ensemble, Judged
from src.runs.figures import Run
from src.runs.folder import RunFolder
from src.runs.status import DIVERGED
from src.runs.unit import metric_of

if TYPE_CHECKING:
    from src.data.partition import Partition
    from src.figures.descent import Descent
    from src.runs.outcome import Reference
    from src.training.predictor import Predictor


def of_one(
    cfg: Config, folder: RunFolder, predictor: "Predictor", reference: "Reference", summary: dict[str, Any]
) -> Run:
    """The pictures of a run of one model."""
    part = reference.part
    course = course_of(cfg, folder, reference, summary)
    if summary["status"] == DIVERGED:
        return Run(course, None)
    several = len(predictor.levels) > 1
    splits = []
    for name in part.splits():
        numbers, features, target = part.thinned(name, POINTS)
        found = predictor.quantiles(features)
        ends = (found.min(1), found.max(1)) if several else (None, None)
        splits.append(Rows(name, numbers, features, target, found[:, 0], len(part.rows[name]), *ends))
    names = part.table.feature_names
    along = len(names) == 1 and part.table.is_numeric

    def band(features: np.ndarray) -> np.ndarray:
        found = predictor.quantiles(features)
        return np.column_stack([found.min(1), found.max(1)])

    return Run(
        course,
        Fit(
            title=_title(cfg, part, summary),
            feature_names=names,
            target_name=part.table.target_name,
            splits=splits,
            predict=predictor,
            along=along,
            reference=reference.line[0] if along and part.encoder.is_affine else None,
            band=band if several else None,
            interval=_levels(predictor.levels) if several else "",
        ),
    )


def of_several(
    cfg: Config,
    histories: Sequence[Mapping[str, list[float]]],
    predictors: "Sequence[Predictor]",
    parts: "Sequence[Partition]",
    judged: Judged,
    summary: dict[str, Any],
) -> Run:
    """The pictures of models that predict together: of folds each row as the model that did not see it predicts it."""
    part, together = parts[0], Ensemble(predictors)
    table = part.table
    predict, quantiles = together.on(table.columns), together.on(table.columns, quantiles=True)
    half = summary.get("interval", {}).get("half_width", np.inf)
    several = len(together.levels) > 1

    def band(features: np.ndarray) -> np.ndarray:
        if several:
            found = quantiles(features)
            return np.column_stack([found.min(1), found.max(1)])
        return predict(features)[:, None] + np.array([-half, half])

    def rows_of(name: str, whole: int, numbers: np.ndarray, prediction: np.ndarray | None) -> Rows:
        features = table.features[numbers]
        ends = band(features).T if name == "test" and (several or np.isfinite(half)) else (None, None)
        found = predict(features) if prediction is None else prediction
        return Rows(name, numbers, features, table.target[numbers], found, whole, *ends)

    splits, errors = [], {}
    if out := judged.out_of_fold:
        some = slice(None, None, -(-len(out["row"]) // POINTS))
        splits.append(rows_of("out of fold", len(out["row"]), out["row"][some], out["prediction"][some]))
        errors["out of fold"] = "oof"
    for name in [split for split in part.splits() if split == "test" or not out]:
        splits.append(rows_of(name, len(part.rows[name]), part.thinned(name, POINTS)[0], None))
        errors[name] = name
    said = ", ".join(f"{name} {number(summary['metrics'][f'{key}/rmse'])}" for name, key in errors.items())
    return Run(
        _courses(cfg, histories, part),
        Fit(
            title=f"{len(predictors)} models: {_named(cfg, part)}\nrmse: {said}",
            feature_names=table.feature_names,
            target_name=table.target_name,
            splits=splits,
            predict=predict,
            along=len(table.feature_names) == 1 and table.is_numeric,
            band=band if several or np.isfinite(half) else None,
            interval=_levels(together.levels)
            if several
            else f"{summary.get('interval', {}).get('level', 0):.0%} interval",
        ),
    )


def _courses(cfg: Config, histories: Sequence[Mapping[str, list[float]]], part: "Partition") -> Course | None:
    """How the trainings of several models went: the figure that each was judged by, over its own epochs."""
    shown = monitored(cfg)[0] or "train/loss"
    longest = max((table.get("epoch", []) for table in histories), key=len, default=[])
    if not longest or any(shown not in table for table in histories):
        return None
    columns = {"epoch": longest}
    for place, table in enumerate(histories):
        values = table[shown]
        columns[f"model {place}"] = [*values, *[math.nan] * (len(longest) - len(values))]
    return Course(
        title=f"{len(histories)} models: {_named(cfg, part)}",
        columns=columns,
        unit=part.table.target_name,
        loss=shown,
        metric=None,
        factor=1.0,
        shown=shown,
    )


def course_of(cfg: Config, folder: RunFolder, reference: "Reference", summary: dict[str, Any]) -> Course | None:
    """How the training of one model went; None where no epoch was closed."""
    columns = folder.read_metrics()
    if not columns.get("epoch"):
        return None
    metric, factor = metric_of(cfg, reference.part.encoder.target)
    status = summary["status"]
    return Course(
        title=_named(cfg, reference.part),
        columns=columns,
        unit=reference.part.table.target_name,
        loss=str(cfg.loss._target_).rpartition(".")[2],
        metric=metric,
        factor=factor,
        shown=monitored(cfg)[0] or "val/mse",
        best=summary.get("best_epoch"),
        ended=None if status == "completed" else status,
        reference=reference.described if "slope" in columns else None,
    )


def descent_of(cfg: Config, folder: RunFolder, reference: "Reference") -> "Descent":
    """The way of a straight line of one feature over the loss, from its metrics.csv."""
    from src.figures.descent import Descent

    part, columns = reference.part, {name: np.array(values) for name, values in folder.read_metrics().items()}
    _, features, target = part.thinned("train", POINTS)
    known = reference.described
    return Descent(
        title=_named(cfg, part),
        features=features[:, 0],
        target=target,
        slopes=columns["slope"],
        intercepts=columns["intercept"],
        epochs=columns["epoch"],
        least_squares=(known["slope"], known["intercept"]),
        feature_name=part.table.feature_names[0],
        target_name=part.table.target_name,
    )


def _levels(levels: Sequence[float]) -> str:
    return f"quantiles {min(levels):g} to {max(levels):g}"


def _named(cfg: Config, part: "Partition") -> str:
    return f"{cfg.name} on {Path(part.table.source).name}"


def _title(cfg: Config, part: "Partition", summary: dict[str, Any], splits: tuple[str, ...] = ()) -> str:
    """Model, data, and the error of each split."""
    metrics, known = summary["metrics"], summary.get("reference", {})
    errors = {name: f"{name} {number(metrics[f'{name}/rmse'])}" for name in splits or part.splits()}
    if "mse" in known:
        errors["train"] += f" (least squares {number(known['mse'] ** 0.5)})"
    return f"{_named(cfg, part)}\nrmse: {', '.join(errors.values())}"
