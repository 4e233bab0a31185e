"""What a net has to beat: a straight line and models of scikit-learn, on the rows that the net sees."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from src.data.table import CATEGORY
from src.models.least_squares import least_squares

if TYPE_CHECKING:
    from src.data.partition import Partition

# Raw features (rows, features), recoded, to predictions (rows,), or (rows, targets) where all targets are meant.
Predict = Callable[[np.ndarray], np.ndarray]
LINE = "least squares"
_WIDE = 500  # columns; of more, ridge takes the penalty 1 and least squares is left out
_BINS = 254  # values of a category that boosting tells apart; the rarest of more are one


def _mean(part: "Partition", place: int) -> Predict:
    mean = np.average(_target(part, place), weights=part.weights("train"))
    return lambda features: np.full(len(features), mean)


def _least_squares(part: "Partition", place: int) -> Predict | None:
    if is_wide(part):
        return None
    return on_design(part, least_squares(partial(part.design, "train", place), part.weights("train"))[0])


def _ridge(part: "Partition", place: int) -> Predict:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    target = _target(part, place)
    if is_wide(part):
        return _wide_ridge(part, target)
    # Leave-one-out chooses the penalty, which is in closed form (Golub, Heath and Wahba, 1979).
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
    design = np.concatenate([features for features, _ in part.design("train")]).astype(np.float64)
    if (weights := part.weights("train")) is None:
        model.fit(design, target)
    else:
        counts = weights > 0  # to leave one out that weighs nothing is no number
        own = weights[counts]
        model.fit(design[counts], target[counts], standardscaler__sample_weight=own, ridgecv__sample_weight=own)
    return on_design(part, model.predict)


def _wide_ridge(part: "Partition", target: np.ndarray) -> Predict:
    from src.models.ridge import ridge

    encoder, numbers = part.encoder, part.encoder.shape.width - part.encoder.shape.codes

    def split(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        encoded = encoder.encode(raw, np.float64).numpy()
        return encoded[:, :numbers], encoded[:, numbers:].astype(np.int64)

    features = np.concatenate([features for features, _ in part.chunks("train")])
    line, _ = ridge((*(split(features), target), part.weights("train")), encoder.shape.entries)
    return lambda raw: line(split(raw))


def _target(part: "Partition", place: int) -> np.ndarray:
    """A target of the training rows, (rows,), in its unit."""
    return part.table.target[part.rows["train"], place].astype(np.float64)


def on_design(part: "Partition", line: Predict) -> Predict:
    """What predicts from rows as a straight line sees them, from raw ones."""
    encoder = part.encoder
    return lambda features: line(features if encoder.is_affine else encoder.design(features))


def is_wide(part: "Partition") -> bool:
    """Whether least squares would take minutes: its time grows with the cube of the columns."""
    return part.encoder.shape.width + part.encoder.shape.entries > _WIDE


def _boosting(part: "Partition", place: int) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features = np.concatenate([features for features, _ in part.chunks("train")]).astype(np.float64)
    words = np.array([column.kind == CATEGORY for column in part.encoder.columns])
    common = {}
    for column in np.flatnonzero(words):
        values, counts = np.unique(features[~np.isnan(features[:, column]), column], return_counts=True)
        common[column] = np.sort(values[np.argsort(-counts, kind="stable")[:_BINS]])

    def binned(raw: np.ndarray) -> np.ndarray:
        found = raw.astype(np.float64)
        for word, values in common.items():
            column = found[:, word]
            there = ~np.isnan(column)
            code = np.searchsorted(values, column[there])
            known = (code < len(values)) & (values[np.minimum(code, len(values) - 1)] == column[there])
            found[there, word] = np.where(known, code, len(values))
        return found

    model = HistGradientBoostingRegressor(categorical_features=words if words.any() else None, random_state=0)
    model.fit(binned(features), _target(part, place), sample_weight=part.weights("train"))
    return lambda raw: model.predict(binned(raw))


# What each learns of one target, by its place.
BASELINES: "dict[str, Callable[[Partition, int], Predict | None]]" = {
    "mean": _mean,
    LINE: _least_squares,
    "ridge": _ridge,
    "boosting": _boosting,
}


def fitted(name: str, part: "Partition") -> Predict | None:
    """A baseline that learned the training rows, of all targets in their units; None where it would take minutes."""
    from src.adapters.blas import one_thread

    with one_thread():
        found = [BASELINES[name](part, place) for place in range(len(part.table.target_names))]
    return together([each for each in found if each]) if all(found) else None


def together(predicts: Sequence[Predict]) -> Predict:
    """What predicts (rows, targets), from what predicts each target."""
    return lambda features: np.column_stack([predict(features) for predict in predicts])


def asked(setting: bool | str | None, unless: bool = False) -> list[str]:
    """The baselines that ``baselines=`` asks for: all by true, a straight line by line; of null ``unless`` decides."""
    setting = unless if setting is None else setting
    return [LINE] if setting == "line" else list(BASELINES) if setting else []
