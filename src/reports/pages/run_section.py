"""What a page shows of one run: its curves, what it predicts, where it is wrong, and what it is made of."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from src.checks.training import answers
from src.data.described import cut
from src.data.table import Table
from src.errors import UserError, first_line
from src.reports.pages import charts
from src.reports.pages.model import Figure, Grid, Section
from src.reports.pages.subject import Judged, Opener, Subject, cell, looked_at, permuted
from src.reports.pages.svg import number
from src.runs.baselines import LINE
from src.runs.folder import RunFolder
from src.runs.unit import of_reference
from src.training.task import METRICS, SPLITS, metric_in, suffixes

_DRAWN = 2000  # points that a picture can show apart
_WORST = 10
_COLUMNS = 12  # features of the worst rows
_BARS = 20  # columns of the permutation importance
_SLOPES = 60  # parameters of a line
_MEMBERS = 10  # models whose curves are drawn
_CURVES = ("train/loss", "val/mse")


def curve_figures(columns: Mapping[str, list[float]], aim: str) -> list[Figure]:
    """The loss and what the run is judged by, over epochs, each by itself, for their units differ."""
    names = list(dict.fromkeys(name for name in (*_CURVES, aim) if name in columns))[:3]
    if not columns.get("epoch"):
        return []
    return [
        Figure(f"Learning curve: {name}", charts.curves({name: (columns["epoch"], columns[name])}, "epoch", name))
        for name in names
    ]


def parameter_figures(columns: Mapping[str, list[float]]) -> list[Figure]:
    """Slope and intercept over epochs, where a line of one feature was learned."""
    return [
        Figure(name.capitalize(), charts.curves({name: (columns["epoch"], columns[name])}, "epoch", name))
        for name in ("slope", "intercept")
        if columns.get(name)
    ]


def member_figures(folder: RunFolder) -> list[Figure]:
    """The validation error of each model of a run of several; none where nothing was logged."""
    lines: dict[str, charts.Curve] = {}
    for member in folder.members()[:_MEMBERS]:
        with suppress(OSError, ValueError):  # one curve less
            columns = member.read_metrics()
            name = "val/mse" if "val/mse" in columns else "train/loss"
            lines[f"model {member.path.name}"] = (columns["epoch"], columns[name])
    drawn = charts.curves(lines, "epoch", name) if lines else None
    return [Figure("Learning curves", drawn, "", {f"c{n}": said for n, said in enumerate(lines)})] if drawn else []


def metrics_grid(summary: Mapping[str, Any], title: str) -> Grid:
    """Figures by split, the run's own and those of what it is held against."""
    metrics, baselines = summary.get("metrics") or {}, summary.get("baselines") or {}
    rows: list[list[str]] = []
    reference = summary.get("reference") or {}
    for what, end in suffixes((summary.get("data") or {}).get("target")).items():
        of = f", {what}" if end or rows else ""
        for split in ("oof", *SPLITS):
            for who, found in {"this run": metrics, **baselines}.items():
                if found.get(f"{split}/mse") is not None and not (split == "val" and "oof/mse" in found):
                    figures = [found.get(f"{split}/{name}{end}") for name in METRICS]
                    rows.append([f"{split}{of}", who, *("" if value is None else f"{value:.6g}" for value in figures)])
        if reference.get("mse") is not None and LINE not in baselines:
            known = of_reference(reference, end)
            cells = ("" if known.get(name) is None else f"{known[name]:.6g}" for name in METRICS)
            rows.append([f"train{of}", LINE, *cells])
    return Grid(title, ["rows", "model", *METRICS], rows)


def run_section(
    folder: RunFolder, summary: Mapping[str, Any], opener: Opener, id: str, title: str, lead: str = ""
) -> tuple[Section, dict[str, str | None], Judged | None]:
    """The run's chapter, what the checks say of it, and the rows that judge it with its predictions.

    What cannot be shown, of a net that a folder may not name say, is said in a line.
    """
    try:
        columns = folder.read_metrics()
    except ValueError:  # a damaged file is one picture less
        columns = {}
    aim = str((summary.get("objective") or {}).get("name"))
    curves = curve_figures(columns, aim)
    figures = [*curves, *parameter_figures(columns)] if curves else member_figures(folder)
    grids = [*_parameters(summary), *_members(summary)]
    found = answers(summary, columns)
    if summary.get("status") in ("diverged", "failed") or not summary.get("metrics"):
        said = str(summary.get("message") or "This run came to no result, so there is nothing to predict with.")
        return Section(id, title, lead, figures, grids, said), found, None
    try:
        subject = opener.open(folder)
        figures = [*_predicted(subject, summary), *figures]
        grids = [*worst_grids(subject), *grids]
        return Section(id, title, lead, figures, grids), found | looked_at(subject), subject.judged
    except UserError as error:
        said = str(error)
    except Exception as error:  # of a net of somebody's own, or a foreign folder: the rest of the page stands
        said = f"{type(error).__name__}: {first_line(error)}"
    return Section(id, title, lead, figures, grids, f"Fit and residuals are left out: {said}"), found, None


def _predicted(subject: Subject, summary: Mapping[str, Any]) -> list[Figure]:
    """Of each target fit, predicted against true, residuals, their spread, permutation importance."""
    table = subject.table
    growth = permuted(subject) if len(table.feature_names) > 1 else []
    found = []
    for place, name in enumerate(table.target_names):
        judged, of = subject.judged.of(place), f": {name}" if len(table.target_names) > 1 else ""
        some = slice(None, None, max(1, -(-len(judged.rows) // _DRAWN)))
        target, prediction = judged.target[some], judged.prediction[some]
        worst = np.argsort(-np.abs(target - prediction))[: min(_WORST, len(target) // 4)]
        marks = {"data": judged.said} | ({"worst": "largest errors"} if len(worst) else {})
        found += [_fit(subject, summary, place, of)] if table.is_numeric and len(table.feature_names) == 1 else []
        found += [
            Figure(f"Predicted against true{of}", charts.against(target, prediction, name, worst), "", marks),
            Figure(f"Residuals{of}", charts.residuals(prediction, target - prediction, name, worst), "", marks),
            Figure(f"How large residuals are{of}", charts.spread(judged.residual, name)),
        ]
        for grown in growth[place : place + 1]:
            first = dict(list(grown.items())[:_BARS])
            bars = charts.bars(
                {each: mean for each, (mean, _) in first.items()},
                "Growth of the error where a column is shuffled",
                spreads={each: spread for each, (_, spread) in first.items()},
            )
            note = f"By how much the RMSE of {judged.said} grows, in the unit of {name}, where a column is shuffled."
            found.append(Figure(f"Permutation importance{of}", bars, note))
    return found


def _fit(subject: Subject, summary: Mapping[str, Any], place: int, of: str) -> Figure:
    table = subject.table
    rows = subject.part.rows["train"][:: max(1, -(-len(subject.part.rows["train"]) // _DRAWN))]
    feature, target = table.features[rows, 0].astype(float), table.target[rows, place].astype(float)
    grid = np.linspace(table.features.min(), table.features.max(), 160, dtype=table.features.dtype)
    lines: dict[str, charts.Curve] = {}
    keys = {"data": "training rows"}
    reference = summary.get("reference") or {}
    name = table.target_names[place]
    end = f"/{name}" if of else ""
    if f"slope{end}" in reference:
        slope, intercept = reference[f"slope{end}"], reference[f"intercept{end}"]
        lines["reference"] = (grid, slope * grid.astype(float) + intercept)
        keys["reference"] = "least squares"
    lines["fitted"] = (grid, subject.predict(grid[:, None])[:, place])
    keys["fitted"] = "this run"
    return Figure(f"Fit{of}", charts.fit(feature, target, lines, (table.feature_names[0], name)), "", keys)


def worst_grids(subject: Subject) -> list[Grid]:
    """The ten rows with the largest errors of each target, and what they are like."""
    names = subject.table.target_names
    return [_worst_grid(subject.table, subject.judged.of(place), name) for place, name in enumerate(names)]


def _worst_grid(table: Table, judged: Judged, name: str) -> Grid:
    columns = table.columns[:_COLUMNS]
    rows = []
    for place in np.argsort(-np.abs(judged.residual), kind="stable")[:_WORST]:
        row = int(judged.rows[place])
        figures = (judged.target[place], judged.prediction[place], judged.residual[place])
        cells = [cut(cell(column, float(table.features[row, i]))) for i, column in enumerate(columns)]
        rows.append([str(row), *(f"{value:.6g}" for value in figures), *cells])
    more = f", the first {_COLUMNS} of {len(table.columns)} columns" if len(table.columns) > _COLUMNS else ""
    caption = f"Largest errors of {judged.said} (rows are counted from 0{more})"
    head = ["row", f"{name}, true", "predicted", "true − predicted", *(column.name for column in columns)]
    return Grid(caption, head, rows)


def _parameters(summary: Mapping[str, Any]) -> list[Grid]:
    learned, reference = summary.get("parameters") or {}, summary.get("reference") or {}
    rows = [
        [name, f"{value:.6g}", *(("", "") if reference.get(name) is None else _beside(value, reference[name]))]
        for name, value in list(learned.items())[:_SLOPES]
        if value is not None
    ]
    more = f" (the first {_SLOPES} of {len(learned)})" if len(learned) > _SLOPES else ""
    return [Grid(f"Parameters{more}", ["parameter", "learned", "least squares", "gap"], rows)] if rows else []


def _beside(value: float, known: float) -> tuple[str, str]:
    return f"{known:.6g}", f"{value - known:+.4g}"


def _members(summary: Mapping[str, Any]) -> list[Grid]:
    members = summary.get("members") or []
    known = dict.fromkeys(name for each in members for name in each.get("metrics") or {})
    names = [name for name in known if metric_in(name) == "rmse"]
    rows = [
        [
            str(each.get("folder", place)),
            str(each.get("status", "")),
            str(each.get("best_epoch", "")),
            *(number(value) if (value := (each.get("metrics") or {}).get(name)) is not None else "" for name in names),
        ]
        for place, each in enumerate(members)
    ]
    return [Grid("Models that predict together", ["model", "status", "best epoch", *names], rows)] if rows else []
