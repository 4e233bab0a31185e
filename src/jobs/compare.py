"""The runs of a sweep, drawn over each other."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from src.errors import UserError
from src.results.folder import RunFolder
from src.results.status import PRUNED, has_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

_MOST = 12  # lines that a picture can show apart


def compare(sweep: Path) -> list[Path]:
    """Writes figures/ of a sweep folder: losses over epochs and over steps, and fits of one feature.

    Returns:
        The pictures. None for a sweep of fewer than two runs, or of more than a picture can show.
    """
    runs = {path.name: RunFolder(path) for path in _by_number(sweep) if (path / "summary.json").is_file()}
    if not 2 <= len(runs) <= _MOST:
        return []
    from src.results import figures

    names = {number: _label(folder, number) for number, folder in runs.items()}
    columns = {names[number]: rows for number, folder in runs.items() if (rows := folder.read_metrics())}
    if not columns:  # every run failed before its first epoch
        return []
    drawn = {
        "loss_by_epoch": figures.compare_curves(columns, "epoch"),
        "loss_by_step": figures.compare_curves(columns, "step"),
    }
    drawn |= _fits({names[number]: folder for number, folder in runs.items()})
    target = sweep / "figures"
    target.mkdir(exist_ok=True)
    written = []
    for name, figure in drawn.items():
        written.append(target / f"{name}.png")
        written[-1].write_bytes(figures.png(figure))
    return written


def _by_number(sweep: Path) -> list[Path]:
    folders = [path for path in sweep.iterdir() if path.is_dir()]
    return sorted(
        folders,
        key=lambda path: (not path.name.isdigit(), int(path.name) if path.name.isdigit() else 0, path.name),
    )


def _label(folder: RunFolder, number: str) -> str:
    """What was changed, as short as it can be said."""
    pairs = [str(item).partition("=") for item in folder.read_summary().get("overrides", [])]
    changed = [f"{key.rpartition('.')[2]}={value}" for key, _, value in pairs if key not in ("experiment", "name")]
    return ", ".join(changed) or number


def _fits(runs: dict[str, RunFolder]) -> "dict[str, Figure]":
    """The fitted lines, where all runs learned the same table and it has one feature."""
    from src import build
    from src.jobs.restore import load_config, load_predictor
    from src.results import figures

    summaries = {name: folder.read_summary() for name, folder in runs.items()}
    ends = {name: summary.get("status") for name, summary in summaries.items()}
    fitted = {name: folder for name, folder in runs.items() if has_result(ends[name]) or ends[name] == PRUNED}
    tables = {summaries[name]["data"]["sha256"] for name in fitted}
    if len(tables) != 1 or any(len(summaries[name]["data"]["features"]) != 1 for name in fitted):
        return {}
    try:
        configs = {name: load_config(folder) for name, folder in fitted.items()}
    except UserError as error:
        # A net of the user's own, which a folder may not name: one picture less is no reason to fail a sweep.
        log.info("figures/fits.png is left out: %s", error)
        return {}
    predictors = {name: load_predictor(folder, configs[name], "best") for name, folder in fitted.items()}
    rows = build.table(next(iter(configs.values())))
    figure = figures.compare_fits(rows.features, rows.target, predictors, rows.feature_names[0], rows.target_name)
    return {"fits": figure}
