"""A sweep of folds ends with the runs that together left the least error in the rows that their models did not see."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import UserError
from src.reports.leaderboard import Row
from src.reports.winner import Winner
from src.runs.folder import MIXTURE, RunFolder
from src.training.task import larger_is_better

if TYPE_CHECKING:
    import numpy as np

    from src.config.values import Config

log = logging.getLogger(__name__)

_LIBRARY = 50  # of the best runs, from which the mixture is chosen
_OWN = ("batch_size", "shuffle", "standardize", "scaling", "target_scaling")  # of data: what says nothing of its rows


def mixture(sweep: Path, rows: Sequence[Row], best: Winner) -> list[str]:
    """Writes the folder ensemble/ of a sweep of folds, and says what it comes to; nothing where there are no folds.

    Args:
        sweep: the sweep's folder.
        rows: ranked.
        best: the first of them.
    """
    if best.cfg is None or best.table is None or not rows[0].folds or len(rows[0].names) != 1:
        return []
    from src.runs import selection

    metric, folder = rows[0].names[0].partition("/")[2], RunFolder(sweep / MIXTURE)
    try:
        names, predictions, first = _left_out(sweep, rows[:_LIBRARY], best.cfg)
        (columns, target), targets = first, best.table.target_names
        weights = columns.get("weight")
        often = selection.greedy(predictions, target, metric, weights, targets).tolist()
        chosen = sorted((place for place, number in enumerate(often) if number), key=lambda place: -often[place])
        if len(chosen) < 2:
            selection.remove(folder)
            said = f"no mixture of runs has a better {rows[0].names[0]} than run {names[0]} alone"
            return [said] if len(names) > 1 else []
        runs = {names[place]: RunFolder(sweep / names[place]) for place in chosen}
        found = selection.write(folder, runs, [often[place] for place in chosen], best.cfg, best.table)
        crossed = selection.crossed(predictions, target, columns["fold"], metric, weights, targets)
        return [_said(found, rows[0], crossed)]
    except UserError as error:
        log.info("no ensemble of runs: %s", error)
        return []


def _left_out(
    sweep: Path, rows: Sequence[Row], cfg: "Config"
) -> "tuple[list[str], np.ndarray, tuple[dict[str, np.ndarray], np.ndarray]]":
    """Names of the runs that have the best one's folds, and their predictions (runs, targets, rows).

    Last the columns of the first one, as its first target has them, and its targets (targets, rows).
    """
    import numpy as np

    from src.runs.interval import read_out_of_fold
    from src.runs.restore import load_config

    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        folder = RunFolder(sweep / row.folder)
        file = folder.path / "predictions_oof.csv"
        if not (row.rank and row.folds and row.source == rows[0].source and file.is_file()):
            continue
        if _rows_of(load_config(folder, ("model", "data"))) == _rows_of(cfg):
            found[row.folder] = read_out_of_fold(file)
    if not found:
        raise UserError(f"{sweep}: has no predictions_oof.csv")
    first = next(iter(found.values()))
    same = {name: each for name, each in found.items() if all(map(np.array_equal, _key(each), _key(first)))}
    predictions = np.stack([[own["prediction"] for own in each] for each in same.values()])
    return list(same), predictions, (first[0], np.stack([own["target"] for own in first]))


def _key(columns: "list[dict[str, np.ndarray]]") -> "list[np.ndarray]":
    return [columns[0]["row"], columns[0]["fold"], *(own["target"] for own in columns)]


def _rows_of(cfg: "Config") -> dict[str, Any]:
    """What decides a run's columns, and which of its rows are in which fold."""
    from src.config.values import container
    from src.runs.ensemble import split_seed

    data = {key: value for key, value in container(cfg.data).items() if key not in (*_OWN, "split_seed")}
    return data | {"split_seed": split_seed(cfg), "folds": cfg.folds}


def _said(found: dict[str, Any], best: Row, crossed: tuple[float, float]) -> str:
    """The mixture's figures beside those of the best run alone."""
    name = best.names[0]
    parts = ", ".join(f"{run} ({weight:.2g})" for run, weight in zip(found["runs"], found["weights"], strict=True))
    test = name.replace("oof/", "test/")
    said = (
        f"ensemble of runs {parts}: {name} {found['metrics'][name]:.6g} against {best.values[0]:.6g} of run "
        f"{best.folder} alone. Both were chosen by these rows, so both are too good; chosen without each fold and "
        f"judged by it {crossed[0]:.6g} against {crossed[1]:.6g}"
    )
    if test in found["metrics"] and test in best.metrics:
        said += f"; {test} {found['metrics'][test]:.6g} against {best.metrics[test]:.6g}"
    worse = crossed[0] <= crossed[1] if larger_is_better(name) else crossed[0] >= crossed[1]
    return f"{said}. On folds that did not choose it the ensemble gains nothing: take the run alone" if worse else said
