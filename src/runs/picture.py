"""What the pictures of a run are made of: from its folder, rows and models to plain arrays and words."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config.objective import monitored
from src.config.values import Config
from src.data.table import one_or_all
from src.figures.canvas import number
from src.figures.curves import Course
from src.figures.rows import POINTS, Fit, Predict, Rows
from src.runs.ensemble import Ensemble, Judged
from src.runs.figures import Run
from src.runs.folder import RunFolder
from src.runs.status import DIVERGED
from src.runs.unit import metric_of, unit_of
from src.training.task import suffixes

if TYPE_CHECKING:
    from src.data.partition import Partition
    from src.data.table import Table
    from src.figures.descent import Descent
    from src.runs.reference import Reference
    from src.training.predictor import Predictor


def of_one(
    cfg: Config, folder: RunFolder, predictor: "Predictor", reference: "Reference", summary: dict[str, Any]
) -> Run:
    """The pictures of a run of one model."""
    part = reference.part
    course = course_of(cfg, folder, reference, summary)
    if summary["status"] == DIVERGED:
        return Run(course, [])
    several = len(predictor.levels) > 1
    rows = []
    for name in part.splits():
        numbers, features, target = part.thinned(name, POINTS)
        rows.append((name, numbers, features, target, predictor.outputs(features), len(part.rows[name])))
    names = part.table.feature_names
    along = len(names) == 1 and part.table.is_numeric

    def band(features: np.ndarray) -> np.ndarray:
        found = predictor.outputs(features)
        return np.column_stack([found.min(1), found.max(1)])

    fits = []
    for place, (target_name, end) in enumerate(_ends(part.table)):
        splits = [
            Rows(
                *(name, numbers, features, target[:, place], found[:, place], whole),
                *((found.min(1), found.max(1)) if several else (None, None)),
            )
            for name, numbers, features, target, found, whole in rows
        ]
        fits.append(
            Fit(
                title=_title(cfg, part, summary, end),
                feature_names=names,
                target_name=target_name,
                splits=splits,
                predict=_of(predictor, place),
                along=along,
                reference=reference.lines[place][0] if along and part.encoder.is_affine else None,
                band=band if several else None,
                interval=_levels(predictor.levels) if several else "",
            )
        )
    return Run(course, fits)


def of_several(
    cfg: Config,
    histories: Sequence[Mapping[str, list[float]]],
    predictors: "Sequence[Predictor]",
    parts: "Sequence[Partition]",
    judged: Judged,
    summary: dict[str, Any],
) -> Run:
    """The pictures of models that predict together: of folds each row as the model that did not see it predicts it."""
    fits = [
        _fit_of_several(cfg, place, Ensemble(predictors), parts[0], judged, summary)
        for place in range(len(parts[0].table.target_names))
    ]
    return Run(_courses(cfg, histories, parts[0]), fits)


def _fit_of_several(
    cfg: Config, place: int, together: Ensemble, part: "Partition", judged: Judged, summary: dict[str, Any]
) -> Fit:
    table = part.table
    target_name, end = _ends(table)[place]
    predict, outputs = _of(together.on(table.columns), place), together.on(table.columns, every=True)
    interval = summary.get("interval", {})
    half = np.ravel(interval.get("half_width", np.full(len(table.target_names), np.inf)))[place]
    several = len(together.levels) > 1

    def band(features: np.ndarray) -> np.ndarray:
        if several:
            found = outputs(features)
            return np.column_stack([found.min(1), found.max(1)])
        return predict(features)[:, None] + np.array([-half, half])

    def rows_of(name: str, whole: int, numbers: np.ndarray, prediction: np.ndarray | None) -> Rows:
        features = table.features[numbers]
        ends = band(features).T if name == "test" and (several or np.isfinite(half)) else (None, None)
        found = predict(features) if prediction is None else prediction
        return Rows(name, numbers, features, table.target[numbers, place], found, whole, *ends)

    splits, errors = [], {}
    if judged.out_of_fold:
        out = judged.out_of_fold[place]
        some = slice(None, None, -(-len(out["row"]) // POINTS))
        splits.append(rows_of("out of fold", len(out["row"]), out["row"][some], out["prediction"][some]))
        errors["out of fold"] = "oof"
    for name in [split for split in part.splits() if split == "test" or not judged.out_of_fold]:
        splits.append(rows_of(name, len(part.rows[name]), part.thinned(name, POINTS)[0], None))
        errors[name] = name
    said = ", ".join(f"{name} {number(summary['metrics'][f'{key}/rmse{end}'])}" for name, key in errors.items())
    return Fit(
        title=f"{len(together.members)} models: {_named(cfg, part)}\nrmse: {said}",
        feature_names=table.feature_names,
        target_name=target_name,
        splits=splits,
        predict=predict,
        along=len(table.feature_names) == 1 and table.is_numeric,
        band=band if several or np.isfinite(half) else None,
        interval=_levels(together.levels) if several else f"{interval.get('level', 0):.0%} interval",
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
        unit=unit_of(shown, part.table.target_names),
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
    metric, factor = metric_of(cfg, reference.part.encoder.targets)
    status, shown = summary["status"], monitored(cfg)[0] or "val/mse"
    return Course(
        title=_named(cfg, reference.part),
        columns=columns,
        unit=unit_of(shown, reference.part.table.target_names),
        loss=str(cfg.loss._target_).rpartition(".")[2],
        metric=metric,
        factor=factor,
        shown=shown,
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
        target=target[:, 0],
        slopes=columns["slope"],
        intercepts=columns["intercept"],
        epochs=columns["epoch"],
        least_squares=(known["slope"], known["intercept"]),
        feature_name=part.table.feature_names[0],
        target_name=part.table.target_names[0],
    )


def _of(predict: Predict, place: int) -> Predict:
    """What predicts one of the targets, (rows,)."""
    return lambda features: predict(features)[:, place]


def _ends(table: "Table") -> list[tuple[str, str]]:
    """The targets, each with what stands behind a metric's name for it."""
    return list(suffixes(one_or_all(table.target_names)).items())[: len(table.target_names)]


def _levels(levels: Sequence[float]) -> str:
    return f"quantiles {min(levels):g} to {max(levels):g}"


def _named(cfg: Config, part: "Partition") -> str:
    return f"{cfg.name} on {Path(part.table.source).name}"


def _title(cfg: Config, part: "Partition", summary: dict[str, Any], end: str) -> str:
    """Model, data, and the error of each split; ``end`` as in ``suffixes``."""
    metrics, known = summary["metrics"], summary.get("reference", {})
    errors = {name: f"{name} {number(metrics[f'{name}/rmse{end}'])}" for name in part.splits()}
    if f"mse{end}" in known:
        errors["train"] += f" (least squares {number(known[f'mse{end}'] ** 0.5)})"
    return f"{_named(cfg, part)}\nrmse: {', '.join(errors.values())}"
