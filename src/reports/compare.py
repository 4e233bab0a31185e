"""The runs of a sweep, drawn over each other."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.adapters.files import replace
from src.errors import UserError
from src.reports.leaderboard import Row, short
from src.runs.folder import RunFolder
from src.runs.status import PRUNED, has_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

_MOST = 12  # lines that a picture can show apart


def compare(sweep: Path, rows: Sequence[Row]) -> None:
    """Writes figures/ of a sweep folder: losses over epochs and over steps, and fits of one feature.

    None for a sweep of fewer than two runs, or of more than a picture can show.
    """
    whole = [row for row in rows if (sweep / row.folder / "summary.json").is_file()]
    if not 2 <= len(whole) <= _MOST:
        return
    drawn = {_label(row): row for row in sorted(whole, key=lambda row: row.number)}
    folders = {label: RunFolder(sweep / row.folder) for label, row in drawn.items()}
    columns = {label: table for label, folder in folders.items() if (table := _metrics(folder))}
    if not columns:  # every run failed before its first epoch
        return
    from src.runs import figures

    pictures = {
        "loss_by_epoch": figures.compare_curves(columns, "epoch"),
        "loss_by_step": figures.compare_curves(columns, "step"),
    }
    pictures |= _fits(
        {label: folders[label] for label, row in drawn.items() if has_result(row.status) or row.status == PRUNED}
    )
    (sweep / "figures").mkdir(exist_ok=True)
    for name, figure in pictures.items():
        replace(sweep / "figures" / f"{name}.png", figures.png(figure), durable=False)


def _metrics(folder: RunFolder) -> dict[str, list[float]]:
    try:
        return folder.read_metrics()
    except UserError as error:
        log.warning("%s: its curves are left out", error)
        return {}


def _label(row: Row) -> str:
    """What was changed, as short as it can be said."""
    changed = {key: value for key, value in row.params.items() if key not in ("experiment", "name")}
    return ", ".join(f"{key.rpartition('.')[2]}={short(value)}" for key, value in changed.items()) or row.folder


def _fits(runs: dict[str, RunFolder]) -> "dict[str, Figure]":
    """The fitted lines, where all runs learned the same table and it has one feature."""
    from src.config import build
    from src.runs import figures
    from src.runs.restore import load_config, load_predictor

    try:
        tables = [folder.read_summary().get("data", {}) for folder in runs.values()]
        if len({table.get("sha256") for table in tables}) != 1 or any(len(t.get("features", ())) != 1 for t in tables):
            return {}
        configs = {label: load_config(folder) for label, folder in runs.items()}
        rows = build.table(next(iter(configs.values())))
        if not rows.is_numeric:
            return {}
        predictors = {
            label: load_predictor(folder, configs[label], "best").on(rows.columns) for label, folder in runs.items()
        }
    except UserError as error:
        # A net of the user's own, which a folder may not name: one picture less is no reason to fail a sweep.
        log.info("figures/fits.png is left out: %s", error)
        return {}
    figure = figures.compare_fits(rows.features, rows.target, predictors, rows.feature_names[0], rows.target_name)
    return {"fits": figure}
