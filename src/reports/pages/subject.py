"""A run as its page looks at it: the rows that judge it, what it predicts for them, and what each column adds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from src.config.values import Config
from src.data.table import CATEGORY, DATE, MOMENT, Column, Table
from src.errors import UserError
from src.runs.files import read_file
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor

if TYPE_CHECKING:
    from src.data.partition import Partition

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features) of the table to predictions (rows,)

SHOWN = {"oof": "rows that each model did not see", "test": "test rows", "val": "validation rows"}
_MOST = 20_000  # rows that are predicted for a page, evenly taken
_SHUFFLED, _PREDICTED = 1000, 400_000  # rows of a shuffle, and predictions of all of them
_FIRST = 100  # columns that are shuffled


@dataclass(frozen=True)
class Judged:
    """Rows that judge a run, and what it predicts for them.

    Args:
        split: oof, test, val or train.
        rows: their places in the table, (rows,).
        target, prediction: (rows,), float64.
        weights: how much each row counts, (rows,); None for 1.
    """

    split: str
    rows: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    weights: np.ndarray | None = None

    @property
    def residual(self) -> np.ndarray:
        """True less predicted, (rows,)."""
        return self.target - self.prediction

    @property
    def said(self) -> str:
        """What the rows are, in words."""
        return f"{len(self.rows):,} {SHOWN.get(self.split, 'training rows')}"


@dataclass(frozen=True)
class Subject:
    """A run whose net could be built again.

    Args:
        table: its rows.
        part: their splits; of several models those of the first.
        predict: what it predicts.
        judged: the rows that judge it.
    """

    table: Table
    part: "Partition"
    predict: Predict
    judged: Judged


class Opener:
    """Opens runs; a table that several learned from is read once.

    Args:
        trust: packages of the user's own whose nets a folder may name.
    """

    def __init__(self, trust: Collection[str] = ()) -> None:
        self._trust = trust
        self._tables: dict[str, Table] = {}

    def open(self, folder: RunFolder) -> Subject:
        """The run at ``folder``.

        Raises:
            UserError: it names what a folder may not, lacks its checkpoint, or its rows cannot be read or have changed.
        """
        from src.config import build
        from src.runs import ensemble

        cfg = load_config(folder, trust=self._trust)
        table = self._table(cfg)
        known = (folder.read_summary().get("data") or {}).get("sha256")
        if known and known != table.sha256:
            raise UserError(f"{table.source} has changed since the run")
        several = bool(folder.members())
        part = ensemble.partition_of(cfg, table)[0] if several else build.partition(cfg, table)
        predict = load_predictor(folder, cfg, "best", self._trust).on(table.columns)
        return Subject(table, part, predict, _judged(folder, part, predict))

    def _table(self, cfg: Config) -> Table:
        from src.config import build
        from src.config.values import container

        key = str((container(cfg.data), cfg.trainer.get("precision")))
        if key not in self._tables:
            self._tables[key] = build.table(cfg)
        return self._tables[key]


def _judged(folder: RunFolder, part: "Partition", predict: Predict) -> Judged:
    out_of_fold = folder.path / "predictions_oof.csv"
    if out_of_fold.is_file():
        from src.runs.interval import read_out_of_fold

        columns = {name: _some(values) for name, values in read_out_of_fold(out_of_fold).items()}
        return Judged(
            "oof", columns["row"].astype(int), columns["target"], columns["prediction"], columns.get("weight")
        )
    split = next(name for name in ("test", "val", "train") if len(part.rows[name]))
    rows = _some(part.rows[split])
    weights, target = part.weights(split), part.table.target[rows].astype(np.float64)
    return Judged(split, rows, target, predict(part.table.features[rows]), None if weights is None else _some(weights))


def _some(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, -(-len(values) // _MOST))]


def permuted(subject: Subject) -> dict[str, tuple[float, float]]:
    """How much the error of the judging rows grows where a column is shuffled: permutation importance (Breiman, 2001).

    Returns:
        Mean and deviation of the growth of the RMSE, in the target's unit, by column, the largest first.
    """
    some = slice(None, None, max(1, -(-len(subject.judged.rows) // _SHUFFLED)))
    rows = subject.judged.rows[some]
    weights = None if subject.judged.weights is None else subject.judged.weights[some]
    features, target = subject.table.features[rows], subject.table.target[rows].astype(np.float64)
    names = subject.table.feature_names[:_FIRST]
    repeats = int(np.clip(_PREDICTED // (len(rows) * max(len(names), 1)), 1, 5))
    random = np.random.default_rng(0)
    before, found = _rmse(subject.predict(features) - target, weights), {}
    for place, name in enumerate(names):
        shuffled = np.tile(features, (repeats, 1))
        for repeat in range(repeats):
            part = slice(repeat * len(rows), (repeat + 1) * len(rows))
            shuffled[part, place] = features[random.permutation(len(rows)), place]
        errors = (subject.predict(shuffled) - np.tile(target, repeats)).reshape(repeats, -1)
        grown = np.array([_rmse(each, weights) - before for each in errors])
        found[name] = (float(grown.mean()), float(grown.std()))
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _rmse(errors: np.ndarray, weights: np.ndarray | None) -> float:
    return float(np.sqrt(np.average(np.square(errors), weights=weights)))


def cell(column: Column, value: float) -> str:
    """A feature as a person wrote it: the word of a category, the day of a date; empty where there is a gap."""
    if np.isnan(value) or (column.kind == CATEGORY and not 0 <= value < len(column.values)):
        return ""
    if column.kind == CATEGORY:
        return column.values[int(value)]
    if column.kind in (DATE, MOMENT):
        moment = np.datetime64(0, "s") + np.timedelta64(round(value * 86400), "s")
        return str(moment.astype("datetime64[D]") if column.kind == DATE else moment).replace("T", " ")
    return f"{value:.6g}"


def looked_at(subject: Subject) -> dict[str, str | None]:
    """The answers of the checks that look at rows: P07 to P10."""
    from src.checks import rows as checks

    table, part, judged = subject.table, subject.part, subject.judged
    words = [column.kind == CATEGORY for column in table.columns]
    train = _some(part.rows["train"])
    found: dict[str, str | None] = {
        "P07": checks.pattern(judged.prediction, judged.residual),
        "P08": checks.nearly_target(table.features[train], table.target[train], table.feature_names, words),
    }
    for name in ("test", "val"):
        if not len(part.rows[name]):
            continue
        one, two = _with_target(table, train), _with_target(table, _some(part.rows[name]))
        found["P09"] = found.get("P09") or checks.repeated(_with_target(table, part.rows["train"]), two, name)
        columns = [*table.feature_names, table.target_name]
        found["P10"] = found.get("P10") or checks.drift(one, two, columns, [*words, False], name)
    return found


def _with_target(table: Table, rows: np.ndarray) -> np.ndarray:
    """Features and target of rows, (rows, features + 1)."""
    return np.column_stack([table.features[rows], table.target[rows]]).astype(np.float64)


def config_text(folder: RunFolder) -> str:
    """The run's configuration, as it was resolved."""
    try:
        return read_file(folder.config).decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
