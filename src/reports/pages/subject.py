"""A run as its page looks at it: the rows that judge it, what it predicts for them, and what each column adds."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
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

Predict = Callable[[np.ndarray], np.ndarray]  # raw features (rows, features) of a table to predictions (rows, targets)

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
        targets: the columns that it predicts.
        target, prediction: (rows, targets), float64; of one target alone (rows,).
        weights: how much each row counts, (rows,); None for 1.
    """

    split: str
    rows: np.ndarray
    targets: Sequence[str]
    target: np.ndarray
    prediction: np.ndarray
    weights: np.ndarray | None = None

    @property
    def residual(self) -> np.ndarray:
        """True less predicted, in the same shape."""
        return self.target - self.prediction

    def of(self, place: int) -> "Judged":
        """The same of one of the targets."""
        return replace(self, target=self.target[:, place], prediction=self.prediction[:, place])

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

        columns = read_out_of_fold(out_of_fold)
        target, found = (_some(np.column_stack([each[name] for each in columns])) for name in ("target", "prediction"))
        rows, heavy = _some(columns[0]["row"]).astype(int), columns[0].get("weight")
        return Judged("oof", rows, part.table.target_names, target, found, None if heavy is None else _some(heavy))
    split = next(name for name in ("test", "val", "train") if len(part.rows[name]))
    rows = _some(part.rows[split])
    weights, target = part.weights(split), part.table.target[rows].astype(np.float64)
    found = predict(part.table.features[rows])
    return Judged(split, rows, part.table.target_names, target, found, None if weights is None else _some(weights))


def _some(values: np.ndarray) -> np.ndarray:
    return values[:: max(1, -(-len(values) // _MOST))]


def permuted(subject: Subject) -> list[dict[str, tuple[float, float]]]:
    """How much the error of the judging rows grows where a column is shuffled: permutation importance (Breiman, 2001).

    Returns:
        For each target mean and deviation of the growth of its RMSE, in its unit, by column, the largest first.
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
        errors = (subject.predict(shuffled) - np.tile(target, (repeats, 1))).reshape(repeats, *target.shape)
        grown = np.array([_rmse(each, weights) - before for each in errors])
        found[name] = list(zip(grown.mean(axis=0).tolist(), grown.std(axis=0).tolist(), strict=True))
    each_target = [{name: own[place] for name, own in found.items()} for place in range(target.shape[1])]
    return [dict(sorted(own.items(), key=lambda item: -item[1][0])) for own in each_target]


def _rmse(errors: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Of errors (rows, targets) that of each target, (targets,)."""
    return np.sqrt(np.average(np.square(errors), axis=0, weights=weights))


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
    found: dict[str, str | None] = {}
    for place, target in enumerate(table.target_names):
        own, wanted = judged.of(place), table.target[train, place]
        said = {
            "P07": checks.pattern(own.prediction, own.residual),
            "P08": checks.nearly_target(table.features[train], wanted, table.feature_names, words),
        }
        of = f"{target}: " if len(table.target_names) > 1 else ""
        found = {code: found.get(code) or (text and f"{of}{text}") for code, text in said.items()}
    for name in ("test", "val"):
        if not len(part.rows[name]):
            continue
        one, two = _with_target(table, train), _with_target(table, _some(part.rows[name]))
        found["P09"] = found.get("P09") or checks.repeated(_with_target(table, part.rows["train"]), two, name)
        columns = [*table.feature_names, *table.target_names]
        kinds = [*words, *[False] * len(table.target_names)]
        found["P10"] = found.get("P10") or checks.drift(one, two, columns, kinds, name)
    return found


def _with_target(table: Table, rows: np.ndarray) -> np.ndarray:
    """Features and targets of rows, (rows, features + targets)."""
    return np.column_stack([table.features[rows], table.target[rows]]).astype(np.float64)


def config_text(folder: RunFolder) -> str:
    """The run's configuration, as it was resolved."""
    try:
        return read_file(folder.config).decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
