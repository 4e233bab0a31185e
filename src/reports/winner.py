"""What the best run of a sweep is worth: the baselines on its rows, and how well its figure is known."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.reports.leaderboard import BASELINE, Row
from src.runs.folder import RunFolder
from src.runs.restore import load_config
from src.runs.status import PRUNED

if TYPE_CHECKING:
    import numpy as np

    from src.config.values import Config
    from src.data.table import Table

log = logging.getLogger(__name__)

Baselines = dict[str, dict[str, float]]


@dataclass
class Winner:
    """What is known of the best run of a sweep; nothing where it cannot be read.

    Args:
        baselines: figures by name, of models that learned its rows.
        fitted_for: what these stand for, so that they need not be fitted again.
        remarks: lines for a reader.
        cfg, table: its configuration, and the rows that it learned.
    """

    baselines: Baselines = field(default_factory=dict)
    fitted_for: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    cfg: "Config | None" = None
    table: "Table | None" = None

    def rows(self, names: Sequence[str]) -> list[Row]:
        """Lines of a leaderboard for the baselines, by their figures for the objectives ``names``."""
        return [
            Row("", BASELINE, values=[figures[name] for name in names if name in figures], names=list(names),
                metrics=figures, message=f"{name}, on the rows of run {self.fitted_for['run']}")
            for name, figures in self.baselines.items()
        ]  # fmt: skip


def winner(sweep: Path, rows: Sequence[Row], before: Mapping[str, Any]) -> Winner:
    """Looks at the best of ranked rows.

    Args:
        sweep: their folder.
        rows: the best first.
        before: sweep.json as it was, whose baselines hold as long as the best run is the same.
    """
    best, found = rows[0], Winner()
    folder = RunFolder(sweep / best.folder)
    if not best.rank or not folder.config.is_file() or not best.names:
        return found
    try:
        cfg = load_config(folder, ("data",))
        wanted, judged = _wanted(cfg), _is_judged(cfg, best)
        if not wanted and not judged and not best.folds:
            return found
        from src.config import build

        table = build.table(cfg)
        if table.sha256 != best.source:
            log.info("%s: has changed since the sweep; its best run is not looked at", table.source)
            return found
        found.cfg, found.table = cfg, table
        if wanted:
            _hold(found, cfg, table, best, wanted, before)
        if judged:
            found.remarks += _uncertainty(
                folder, cfg, table, best, sum(row.rank is not None or row.status == PRUNED for row in rows)
            )
    except UserError as error:
        log.info("run %s: %s", best.folder, error)
    return found


def _wanted(cfg: "Config") -> list[str]:
    from src.runs.baselines import asked

    return asked(cfg.get("baselines"), "path" in cfg.data)


def _is_judged(cfg: "Config", best: Row) -> bool:
    from src.reports.uncertainty import MANY
    from src.runs.ensemble import is_several

    split, splits = best.names[0].partition("/")[0], best.splits
    rows = splits.get("train", 0) + splits.get("val", 0) if split == "oof" else splits.get(split, 0)
    lone = split in ("val", "test") and not is_several(cfg)
    return len(best.names) == 1 and 1 < rows <= MANY and (split == "oof" or lone)


def _hold(found: Winner, cfg: "Config", table: "Table", best: Row, names: list[str], before: Mapping[str, Any]) -> None:
    """Fits the baselines, once for a sweep whose best stays the same."""
    from src.config import build
    from src.runs import ensemble
    from src.runs.reference import Reference

    found.fitted_for = {"run": best.folder, "sha256": table.sha256, "names": names}
    if before.get("fitted_for") == found.fitted_for:
        found.baselines = before["baselines"]
    elif ensemble.is_several(cfg):
        found.baselines = ensemble.baselines(ensemble.partition_of(cfg, table), bool(cfg.folds), names)
    else:
        found.baselines = Reference(build.partition(cfg, table)).baselines(names)
    if "seed" in best.params and cfg.data.get("split_seed") is None and cfg.data.val_fraction:
        found.remarks.append(
            f"each seed keeps other rows from training, and baselines have those of run {best.folder}; "
            "data.split_seed=0 keeps the same"
        )


def _uncertainty(folder: RunFolder, cfg: "Config", table: "Table", best: Row, of: int) -> list[str]:
    from src.reports.uncertainty import interval, of_seeds, sentence

    split, _, metric = best.names[0].partition("/")
    if best.seeds and best.average is not None and best.spread is not None:
        same = cfg.data.get("split_seed") is not None and split != "oof"
        rows = best.splits[split] if same else None
        return [of_seeds(best.names[0], best.average, best.spread, best.seeds, rows)]
    predicted, target, weights = _judged(folder, cfg, table, split)
    splits = best.splits
    most = splits["train"] + splits.get("val", 0) if split == "val" else len(target)
    bounds = interval((predicted - target).T, target.T, metric, weights, table.target_names)
    return [sentence(best.folder, best.names[0], best.values[0], bounds, len(target), most, of)]


def _judged(
    folder: RunFolder, cfg: "Config", table: "Table", split: str
) -> "tuple[np.ndarray, np.ndarray, np.ndarray | None]":
    """Predictions and targets (rows, targets) of the rows that chose a run, and weights (rows,) of weighed ones."""
    import numpy as np

    from src.config import build
    from src.runs.interval import read_out_of_fold
    from src.runs.restore import load_one

    if split == "oof":
        columns = read_out_of_fold(folder.path / "predictions_oof.csv")
        predicted, target = (np.column_stack([own[name] for own in columns]) for name in ("prediction", "target"))
        return predicted, target, columns[0].get("weight")
    predictor = load_one(folder, load_config(folder, ("model",)), "best")
    part = build.partition(cfg, table)
    part.use(predictor.encoder)
    pairs = [(predictor(features), target.astype(np.float64)) for features, target in part.chunks(split)]
    predicted, target = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return predicted, target, part.weights(split)
