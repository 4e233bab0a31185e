"""The runs of a sweep, drawn over each other."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.adapters.files import replace
from src.errors import UserError
from src.reports.leaderboard import Row, short, short_names
from src.runs.draw import optional
from src.runs.folder import RunFolder
from src.runs.status import PRUNED, has_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

_MOST = 12  # lines that a picture can show apart


def compare(sweep: Path, rows: Sequence[Row], title: str) -> None:
    """Writes figures/ of a sweep folder: losses over epochs and over steps, and fits of one feature.

    Of more runs than a picture can show, the best ones; none for a sweep of fewer than two runs.

    Args:
        sweep: its folder.
        rows: of the leaderboard, best first.
        title: of the sweep.
    """
    whole = [row for row in rows if (sweep / row.folder / "metrics.csv").is_file()]
    if len(whole) < 2:
        return
    shown, graded = _ordered(whole[:_MOST])
    title += f": the best {_MOST} of {len(whole)} runs" if len(whole) > _MOST else f": {len(whole)} runs"
    named = _labelled(shown)
    folders = {label: RunFolder(sweep / row.folder) for label, row in named.items()}
    with optional("figures/ of the sweep"):
        from src.figures.canvas import png
        from src.figures.sweep import compare_curves, styles

        columns = {label: table for label, folder in folders.items() if (table := _metrics(folder)).get("epoch")}
        if not columns:  # every run failed before its first epoch
            return
        pictures = {f"loss_by_{by}": compare_curves(columns, by, title, graded) for by in ("epoch", "step")}
        fitted = [label for label, row in named.items() if has_result(row.status) or row.status == PRUNED]
        with optional("figures/fits.png"):
            pictures |= _fits({label: folders[label] for label in fitted}, title, styles(list(columns), graded))
        (sweep / "figures").mkdir(exist_ok=True)
        for name, figure in pictures.items():
            replace(sweep / "figures" / f"{name}.png", png(figure), durable=False)


def _metrics(folder: RunFolder) -> dict[str, list[float]]:
    try:
        return folder.read_metrics()
    except UserError as error:
        log.warning("%s: its curves are left out", error)
        return {}


def _ordered(rows: Sequence[Row]) -> tuple[list[Row], bool]:
    """By the one number in which they differ, and that they have such an order; else by their own numbers."""
    keys = {key for row in rows for key in row.params if key not in ("experiment", "name")}
    values = [row.params.get(key) for row in rows for key in keys]
    graded = len(keys) == 1 and all(isinstance(value, int | float) for value in values)
    if graded:
        return sorted(rows, key=lambda row: row.params[next(iter(keys))]), True
    return sorted(rows, key=lambda row: row.number), False


def _labelled(rows: Sequence[Row]) -> dict[str, Row]:
    """The runs by what was changed, as short as it can be said."""
    changed = [{key: value for key, value in row.params.items() if key not in ("experiment", "name")} for row in rows]
    names = short_names(list(dict.fromkeys(key for params in changed for key in params)))
    labels = [", ".join(f"{names[key]}={short(value)}" for key, value in params.items()) for params in changed]
    found: dict[str, Row] = {}
    for row, label in zip(rows, labels, strict=True):
        # A trial that was run twice, or one without parameters of its own.
        found[f"{row.folder}: {label}".removesuffix(": ") if label in found or not label else label] = row
    return found


def _fits(runs: dict[str, RunFolder], title: str, style: dict[str, dict[str, Any]]) -> "dict[str, Figure]":
    """The fitted lines, where all runs learned the same table and it has one feature."""
    from src.config import build
    from src.figures.sweep import compare_fits
    from src.runs.restore import load_config, load_predictor

    try:
        tables = [folder.read_summary().get("data", {}) for folder in runs.values()]
        if len({table.get("sha256") for table in tables}) != 1 or any(len(t.get("features", ())) != 1 for t in tables):
            return {}
        configs = {label: load_config(folder) for label, folder in runs.items()}
        rows = build.table(next(iter(configs.values())))
        if not rows.is_numeric or len(rows.target_names) > 1:
            return {}
        predictors = {
            label: load_predictor(folder, configs[label], "best").on(rows.columns) for label, folder in runs.items()
        }
    except UserError as error:
        # A net of the user's own, which a folder may not name: one picture less is no reason to fail a sweep.
        log.info("figures/fits.png is left out: %s", error)
        return {}
    names = rows.feature_names[0], rows.target_names[0]
    figure = compare_fits(rows.features, rows.target[:, 0], predictors, *names, title, style)
    return {"fits": figure}
