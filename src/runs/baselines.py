"""What a net has to beat: models of scikit-learn, on the rows that the net sees."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.table import CATEGORY

if TYPE_CHECKING:
    from src.data.partition import Partition

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features), recoded, to predictions (rows,)
_WIDE = 1000  # columns from which a penalty is chosen by nobody: a singular value decomposition would take minutes
_BINS = 254  # values of a category that boosting tells apart; the rarest of more are one


def _mean(part: "Partition", target: np.ndarray) -> Predict:
    return lambda features: np.full(len(features), target.mean())


def _least_squares(part: "Partition", target: np.ndarray) -> Predict:
    from sklearn.linear_model import LinearRegression

    return _linear(part, target, lambda wide: LinearRegression())


def _ridge(part: "Partition", target: np.ndarray) -> Predict:
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Leave-one-out chooses the penalty, which is in closed form (Golub, Heath and Wahba, 1979).
    choose = RidgeCV(np.logspace(-3, 4, 15))
    return _linear(part, target, lambda wide: make_pipeline(StandardScaler(), Ridge(solver="lsqr") if wide else choose))


def _linear(part: "Partition", target: np.ndarray, make: Callable[[bool], Any]) -> Predict:
    design = np.concatenate([features for features, _ in part.design("train")]).astype(np.float64)
    encoder = part.encoder
    model = make(design.shape[1] > _WIDE).fit(design, target)
    return lambda features: model.predict(features if encoder.is_affine else encoder.design(features))


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


BASELINES: "dict[str, Callable[[Partition, np.ndarray], Predict]]" = {
    "mean": _mean,
    "least squares": _least_squares,
    "ridge": _ridge,
    "boosting": _boosting,
}


def fitted(name: str, part: "Partition") -> Predict:
    """A baseline that learned the training rows, as scikit-learn sets it; predictions are in the target's unit."""
    from src.adapters.blas import one_thread

    with one_thread():
        return BASELINES[name](part, part.table.target[part.rows["train"]].astype(np.float64))
