"""What a net has to beat: models of scikit-learn, on the rows that the net sees."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.table import CATEGORY

if TYPE_CHECKING:
    from src.data.partition import Partition

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features), recoded, to predictions (rows,)
_WIDE = (
    500  # columns from which singular values would take minutes: ridge takes the penalty 1, least squares is left out
)
_BINS = 254  # values of a category that boosting tells apart; the rarest of more are one


def _mean(part: "Partition", target: np.ndarray) -> Predict:
    return lambda features: np.full(len(features), target.mean())


def _least_squares(part: "Partition", target: np.ndarray) -> Predict | None:
    from sklearn.linear_model import LinearRegression

    return None if _is_wide(part) else _linear(part, target, LinearRegression())


def _ridge(part: "Partition", target: np.ndarray) -> Predict:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if _is_wide(part):
        return _wide_ridge(part, target)
    # Leave-one-out chooses the penalty, which is in closed form (Golub, Heath and Wahba, 1979).
    return _linear(part, target, make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15))))


def _wide_ridge(part: "Partition", target: np.ndarray) -> Predict:
    from src.models.ridge import ridge

    encoder, numbers = part.encoder, part.encoder.shape.width - part.encoder.shape.codes

    def split(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        encoded = encoder.encode(raw, np.float64).numpy()
        return encoded[:, :numbers], encoded[:, numbers:].astype(np.int64)

    features = np.concatenate([features for features, _ in part.chunks("train")])
    line, _ = ridge((split(features), target), encoder.shape.entries)
    return lambda raw: line(split(raw))


def _linear(part: "Partition", target: np.ndarray, model: Any) -> Predict:
    design = np.concatenate([features for features, _ in part.design("train")]).astype(np.float64)
    encoder = part.encoder
    model.fit(design, target)
    return lambda features: model.predict(features if encoder.is_affine else encoder.design(features))


def _is_wide(part: "Partition") -> bool:
    return part.encoder.shape.width + part.encoder.shape.entries > _WIDE


def _boosting(part: "Partition", target: np.ndarray) -> Predict:
    from sklearn.ensemble import HistGradientBoostingRegressor

    features = np.concatenate([features for features, _ in part.chunks("train")]).astype(np.float64)
    words = np.array([column.kind == CATEGORY for column in part.encoder.columns])
    common = {}
    for place in np.flatnonzero(words):
        values, counts = np.unique(features[~np.isnan(features[:, place]), place], return_counts=True)
        common[place] = np.sort(values[np.argsort(-counts, kind="stable")[:_BINS]])

    def binned(raw: np.ndarray) -> np.ndarray:
        found = raw.astype(np.float64)
        for place, values in common.items():
            column = found[:, place]
            there = ~np.isnan(column)
            code = np.searchsorted(values, column[there])
            known = (code < len(values)) & (values[np.minimum(code, len(values) - 1)] == column[there])
            found[there, place] = np.where(known, code, len(values))
        return found

    model = HistGradientBoostingRegressor(categorical_features=words if words.any() else None, random_state=0)
    model.fit(binned(features), target)
    return lambda raw: model.predict(binned(raw))


BASELINES: "dict[str, Callable[[Partition, np.ndarray], Predict | None]]" = {
    "mean": _mean,
    "least squares": _least_squares,
    "ridge": _ridge,
    "boosting": _boosting,
}


def fitted(name: str, part: "Partition") -> Predict | None:
    """A baseline that learned the training rows, in the target's unit; None where it would take minutes."""
    from src.adapters.blas import one_thread

    with one_thread():
        return BASELINES[name](part, part.table.target[part.rows["train"]].astype(np.float64))
