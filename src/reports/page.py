"""report.html: a sweep on one page that needs no other file and no network."""

import html
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from src.errors import first_line
from src.reports.leaderboard import BASELINE, Row, short, table

if TYPE_CHECKING:
    from optuna.study import Study

_LINES = 1000  # trials that are drawn one by one; a millisecond and a kilobyte each
_WIDE = 1e4  # the largest ratio of two objectives on a linear axis
_ROWS = 100  # of the leaderboard on the page; the CSV has all

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
.wide { overflow-x: auto } code { background: #f3f3f3; padding: .1rem .3rem }
"""


def page(
    title: str,
    study: "Study",
    rows: Sequence[Row],
    names: list[str],
    commands: dict[str, str],
    remarks: Sequence[str] = (),
) -> str:
    """The page: ``remarks``, what the ranks are worth; ``commands``, what to do next by what it does; plots; ranks."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [f"<p>{html.escape(said)}</p>" for said in remarks]
    parts += [f"<p>{html.escape(said)}: <code>{html.escape(line)}</code></p>" for said, line in commands.items()]
    script = True
    for heading, figure in figures(study, names):
        parts.append(f"<h2>{html.escape(heading)}</h2>")
        if isinstance(figure, str):
            parts.append(f"<p>{html.escape(figure)}</p>")
            continue
        # Plotly's script goes into the page once, with the first figure.
        parts.append(figure.to_html(full_html=False, include_plotlyjs=script, config={"displaylogo": False}))
        script = False
    parts.append(_table(rows))
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n'
    )


def figures(study: "Study", names: list[str]) -> list[tuple[str, Any]]:
    """Optuna's plots by heading; a sentence in place of one that these trials do not allow."""
    from optuna import logging, visualization

    logging.set_verbosity(logging.ERROR)  # what a plot lacks is said in its place
    drawn: list[tuple[str, Any]] = []
    fewer = thinned(study)
    several = len(names) > 1
    if several:
        drawn.append(("Pareto front", _tried(visualization.plot_pareto_front, fewer, target_names=names)))
    for index, name in enumerate(names):
        options: dict[str, Any] = {"target_name": name}
        if several:
            options["target"] = lambda trial, index=index: trial.values[index]
        suffix = f" of {name}" if several else ""
        for heading, plot, shown in (
            ("History", visualization.plot_optimization_history, study),
            ("Importance", _importance, study),
            ("Parallel coordinate", visualization.plot_parallel_coordinate, fewer),
            ("Slice", visualization.plot_slice, fewer),
        ):
            figure = _tried(plot, shown, **options)
            if heading in ("History", "Slice") and not isinstance(figure, str) and _spread(study, index):
                figure.update_yaxes(type="log")
            drawn.append((heading + suffix, figure))
    if any(trial.intermediate_values for trial in fewer.get_trials(deepcopy=False)):
        drawn.append(("Learning curves", _tried(visualization.plot_intermediate_values, fewer)))
    return drawn


def _spread(study: "Study", index: int) -> bool:
    """Whether a linear axis would show the worst runs only, as where some nearly diverged."""
    values = [trial.values[index] for trial in study.get_trials(deepcopy=False) if trial.values]
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > _WIDE * min(finite)


def _importance(study: "Study", **options: Any) -> Any:
    from optuna.visualization import plot_param_importances

    if len({name for trial in study.get_trials(deepcopy=False) for name in trial.params}) == 1:
        raise ValueError("a lone parameter is all there is")  # to compute that imports scikit-learn, two seconds
    return plot_param_importances(study, **options)


def thinned(study: "Study") -> "Study":
    """The study itself; of one with too many trials to draw a line each, the best and an even sample."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    if len(trials) <= _LINES:
        return study
    sign = 1 if study.directions[0].name == "MINIMIZE" else -1
    done = [trial for trial in trials if trial.values]
    best = sorted(done, key=lambda trial: sign * trial.values[0])[: _LINES // 2]
    kept = {trial.number: trial for trial in [*best, *done[:: max(1, 2 * len(done) // _LINES)]]}
    fewer = optuna.create_study(directions=study.directions)
    fewer.add_trials(kept[number] for number in sorted(kept))
    return fewer


def _tried(plot: Any, study: "Study", **options: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = plot(study, **options)
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return f"Not drawn: {first_line(error)}"
    return figure if figure.data else "Not drawn: there is nothing to show yet"


def _table(rows: Sequence[Row]) -> str:
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        frame = table(rows[:_ROWS])
        names = [(row.message or "").partition(",")[0] if row.status == BASELINE else row.rank for row in rows[:_ROWS]]
        frame["rank"] = pd.Series(names, dtype=object)  # where a reader looks first
        cells = frame.map(short).to_html(index=False, border=0)
    more = f"<p>{len(rows) - _ROWS} more in leaderboard.csv</p>" if len(rows) > _ROWS else ""
    return f'<h2>Leaderboard</h2>\n<div class="wide">{cells}</div>{more}'
