"""Checks of one run's figures: numbers that every run has at hand, so that its end can tell them at no cost."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from src.checks.codes import Finding, fired
from src.checks.noise import relative_error

_OVER = 2.0  # times the training error (mean squared) from which it is told
_UNDER = 0.1  # share of the variance below which a model is near the mean
_LAST, _GAIN = 0.1, 0.01  # the last tenth of the epochs, and by how much it lowered the best loss
_HELD = ("test", "oof", "val")  # rows that no weight was fitted to, the ones that chose nothing first

Figures = Mapping[str, float | None]  # by SPLIT/METRIC; None where one is not finite


def held(metrics: Figures) -> str | None:
    """Which rows a run is judged by: test, oof or val; None where it learned from all."""
    return next((split for split in _HELD if _number(metrics, f"{split}/mse") is not None), None)


def overfitting(metrics: Figures, rows: Mapping[str, int]) -> str | None:
    """P01: the error of rows that were held back is far above that of the training rows, and not by chance.

    Args:
        metrics: of the run.
        rows: of each split.
    """
    split = next((name for name in ("oof", "val", "test") if _number(metrics, f"{name}/mse") is not None), None)
    train = _number(metrics, "train/mse")
    if split is None or train is None or not rows.get(split):
        return None
    other = _number(metrics, f"{split}/mse") or 0.0
    if other <= train * max(_OVER, 1 + 2 * relative_error("mse", rows[split])):
        return None
    ratio = f"{math.sqrt(other / train):.3g} times the" if train else "above the"
    return f"{split}/rmse {math.sqrt(other):.4g} is {ratio} train/rmse {math.sqrt(train):.4g}"


def underfitting(metrics: Figures) -> str | None:
    """P02: the training rows themselves are hardly better predicted than by their mean."""
    r2 = _number(metrics, "train/r2")
    if r2 is None or r2 >= _UNDER:
        return None
    worse = "is worse than the mean of the target" if r2 < 0 else "is hardly better than the mean of the target"
    return f"train/r2 {r2:.3g} {worse} on the very rows it learned from"


def no_better(metrics: Figures, baselines: Mapping[str, Figures]) -> str | None:
    """P03: the baselines that have less error than the run on rows that were held back, best first."""
    split = held(metrics)
    name = f"{split}/rmse"
    others = {each: value for each, found in baselines.items() if (value := _number(found, name)) is not None}
    own = _number(metrics, name)
    if split is None or own is None or not others:
        return None
    better = sorted((value, each) for each, value in others.items() if value < own)
    if not better:
        return None
    values, names = (", ".join(words) for words in zip(*((f"{v:.6g}", each) for v, each in better), strict=True))
    verb = "has" if len(better) == 1 else "have"
    return f"{names} {verb} less error than this model: {name} {values} against {own:.6g}"


def still_improving(values: Sequence[float], name: str, status: str) -> str | None:
    """P05: the last tenth of the epochs lowered the best figure by more than a hundredth.

    Args:
        values: the figure that the run is judged by, of each epoch; less is better; nan where it was not due.
        name: of the figure.
        status: only a run that went to its end is told to go on.
    """
    finite = [value for value in values if math.isfinite(value)]
    last = max(1, int(len(finite) * _LAST))
    if status != "completed" or len(finite) < 10:
        return None
    before, after = min(finite[:-last]), min(finite[-last:])
    if before <= 0 or after >= before * (1 - _GAIN):
        return None
    return f"{name} fell by {1 - after / before:.1%} in the last tenth of the epochs: more epochs may pay"


def too_few(metrics: Figures, baselines: Mapping[str, Figures], rows: Mapping[str, int]) -> str | None:
    """P06 of a run: its figure and the best baseline's differ by less than so few rows can tell."""
    split = held(metrics)
    name = f"{split}/rmse"
    others = {each: value for each, found in baselines.items() if (value := _number(found, name)) is not None}
    own = _number(metrics, name)
    if split is None or not own or not others or not rows.get(split):
        return None
    best = min(others, key=lambda each: others[each])
    apart, known = abs(own - others[best]) / own, 2 * relative_error("rmse", rows[split])
    if apart >= known:
        return None
    return f"{name} is {apart:.1%} from that of {best}, and {rows[split]} rows know it to about ±{known:.0%}"


def of_run(
    summary: Mapping[str, Any], columns: Mapping[str, Sequence[float]], ignore: Collection[str] = ()
) -> list[Finding]:
    """The findings of ``answers``."""
    return fired(answers(summary, columns), ignore)


def answers(summary: Mapping[str, Any], columns: Mapping[str, Sequence[float]]) -> dict[str, str | None]:
    """What the checks of a run's own figures say: P01, P02, P03, P05, P06.

    Args:
        summary: summary.json.
        columns: of metrics.csv; {} for a run of several models.
    """
    metrics, rows = summary.get("metrics") or {}, split_rows(summary)
    baselines = summary.get("baselines") or {}
    aim = str((summary.get("objective") or {}).get("name"))
    known = [name for name in (aim, "val/mse", "train/loss") if name in columns]
    figures = [name for name in known if name.split("/")[1] != "r2"]
    name = figures[0] if figures else ""
    return {
        "P01": overfitting(metrics, rows),
        "P02": underfitting(metrics),
        "P03": no_better(metrics, baselines),
        "P05": still_improving(columns.get(name, ()), name, str(summary.get("status"))),
        "P06": too_few(metrics, baselines, rows),
    }


def split_rows(summary: Mapping[str, Any]) -> dict[str, int]:
    """Rows of each split, ``oof`` those that the folds leave out in turn."""
    splits = dict((summary.get("data") or {}).get("splits") or {})
    return splits | {"oof": splits.get("train", 0) + splits.get("val", 0)}


def _number(metrics: Figures, name: str) -> float | None:
    value = metrics.get(name)
    return None if value is None or not math.isfinite(value) else float(value)
