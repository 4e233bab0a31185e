"""What a net has to beat: models of scikit-learn, on the rows and columns that the net sees."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from src.data.partition import Partition


def _mean() -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor()


def _least_squares() -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression()


def _ridge() -> Any:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Leave-one-out chooses the penalty, which is in closed form (Golub, Heath and Wahba, 1979).
    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(random_state=0)


BASELINES: dict[str, Callable[[], Any]] = {
    "mean": _mean,
    "least squares": _least_squares,
    "ridge": _ridge,
    "boosting": _boosting,
}


def fitted(name: str, part: "Partition") -> Any:
    """A baseline that learned the training rows: encoded features (rows, features), the target in its own unit."""
    from src.adapters.blas import one_thread

    features = part.encoded("train")[0].numpy().astype(np.float64)
    target = part.table.target[part.rows["train"]].astype(np.float64)
    with one_thread():
        return BASELINES[name]().fit(features, target)
