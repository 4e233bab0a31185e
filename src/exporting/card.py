"""MODEL_CARD.md: what a model learned from, what it came to, what it takes and where it ends."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from src.config import build
from src.config.values import container
from src.data.order import split
from src.data.table import BOOLEAN, CATEGORY, NUMBER, Column, one_or_all
from src.exporting.check import deviations as deviations_of
from src.exporting.subject import Subject
from src.runs.ensemble import members
from src.runs.terminal import each_interval
from src.training.task import METRICS, suffixes

_SHOWN = 5  # values of a category
_KEYS = ("model", "loss", "optimizer", "scheduler")


def heading(stem: str) -> str:
    """The first line, by which the card of a file is known again."""
    return f"# Model card: {stem}"


def card(subject: Subject, stem: str, differences: Mapping[str, float]) -> str:
    """The page, as Markdown.

    Args:
        subject: what is exported.
        stem: the files' name.
        differences: by file, the largest to the run's own predictions.
    """
    parts = [
        [heading(stem), "", *_what(subject, differences)],
        ["## Data", "", *_data(subject)],
        ["## Columns", "", *_columns(subject)],
        ["## Results", "", *_results(subject)],
        ["## Limits", "", *_limits(subject)],
        ["## How to predict", "", *_usage(subject, differences)],
        ["## Versions", "", *_versions(subject)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _what(subject: Subject, differences: Mapping[str, float]) -> Iterator[str]:
    count = len(subject.whole.members)
    models = "One model" if count == 1 else f"The mean of {count} models"
    named = ", ".join(map(_code, subject.targets))
    yield f"{models} that predicts {named} from {len(subject.whole.columns)} columns of a table."
    yield ""
    yield "Licence: (yours to fill in)"
    yield ""
    spreads = ", ".join(f"{spread:.6g}" for spread in deviations_of(subject.table))
    for name, found in differences.items():
        yield f"- {name}: within {found:.2g} of the run's own predictions on the rows below, relative to a prediction's"
        yield f"  size or to the target's standard deviation ({spreads}), whichever is larger."


def _data(subject: Subject) -> Iterator[str]:
    data = subject.summary.get("data", {})
    splits = ", ".join(f"{name} {rows}" for name, rows in data.get("splits", {}).items())
    yield f"- {_code(subject.source)}: {data.get('rows', len(subject.table))} rows" + (f" ({splits})" if splits else "")
    yield f"- SHA-256 {subject.sha256}"
    cfg = subject.cfg
    how = f"{cfg.folds} folds" if cfg.get("folds") and cfg.get("fold") is None else f"seed {cfg.seed}"
    keys = [f"data.{role}={cfg.data[role]}" for role in ("group", "time", "split") if cfg.data.get(role)]
    yield f"- split by {', '.join([how, *keys])}"
    if weight := cfg.data.get("weight"):
        yield f"- rows weighed by {_code(weight)}, in training and in every figure"


def _columns(subject: Subject) -> Iterator[str]:
    """Of each what it holds in the rows that were trained on, and what becomes of a gap."""
    table, rows = subject.table, _trained(subject)
    yield "| column | kind | role | met in training | a gap |"
    yield "| --- | --- | --- | --- | --- |"
    for place, column in enumerate(subject.whole.columns):
        own = table.columns[place]
        met = _met(own, table.features[rows, place])
        yield f"| {_code(column.name)} | {column.kind} | feature | {met} | {_gap(column)} |"
    for target, values in zip(subject.targets, table.target[rows].T, strict=True):
        yield f"| {_code(target)} | number | target | {values.min()!s} to {values.max()!s} | |"
    for name, reason in table.left_out.items():
        yield f"| {_code(name)} | | left out | {_cell(str(reason))} | |"


def _trained(subject: Subject) -> np.ndarray:
    """The rows that some model learned from."""
    cfg, table = subject.cfg, subject.table
    several = bool(subject.summary.get("members"))
    found = []
    for own in [each for each, _ in members(cfg)] if several else [cfg]:
        seed = own.seed if own.data.get("split_seed") is None else own.data.split_seed
        fold = None if own.get("fold") is None else (own.fold, own.folds)
        found.append(split(table, own.data.val_fraction, own.data.test_fraction, seed, fold)[0])
    return np.unique(np.concatenate(found))


def _met(column: Column, numbers: np.ndarray) -> str:
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        return "nothing but gaps"
    low, high = numbers.min(), numbers.max()
    if column.kind == NUMBER:
        return f"{low!s} to {high!s}"  # all digits that its precision has, and no more
    if column.kind == BOOLEAN:
        return f"true in {numbers.mean():.0%}"
    if column.kind == CATEGORY:
        places, counts = np.unique(numbers.astype(np.int64), return_counts=True)
        often = places[np.argsort(-counts, kind="stable")][:_SHOWN]
        more = ", …" if len(places) > _SHOWN else ""
        return f"{len(places)} values: " + ", ".join(_code(column.values[place]) for place in often) + more
    first, last = (np.datetime64(0, "D") + np.timedelta64(int(np.floor(day)), "D") for day in (low, high))
    return f"{first} to {last}"


def _gap(column: Column) -> str:
    if column.kind == CATEGORY:
        return "a value of its own where training had some, else unknown"
    return "the median" if column.gaps else "not taken: NaN is predicted"


def _results(subject: Subject) -> Iterator[str]:
    summary = subject.summary
    metrics, deviations = summary.get("metrics", {}), summary.get("deviations", {})
    splits = list(dict.fromkeys(name.partition("/")[0] for name in metrics))
    for what, end in suffixes(one_or_all(subject.targets)).items():
        yield f"| {_cell(what) + ' ' if len(subject.targets) > 1 else ''}| {' | '.join(METRICS)} |"
        yield f"|{' --- |' * (1 + len(METRICS))}"
        for name in splits:
            cells = [_figure(metrics, deviations, f"{name}/{metric}{end}") for metric in METRICS]
            yield f"| {name} | {' | '.join(cells)} |"
        for baseline, figures in summary.get("baselines", {}).items():
            for name in (each for each in ("oof", "test") if each in splits):
                cells = [_figure(figures, {}, f"{name}/{metric}{end}") for metric in METRICS]
                yield f"| {baseline}, {name} | {' | '.join(cells)} |"
        if reference := summary.get("reference"):
            cells = [_figure(reference, {}, f"{metric}{end}") for metric in METRICS]
            yield f"| least squares, train | {' | '.join(cells)} |"
        yield ""
    if deviations:
        yield "`±` is the standard deviation from model to model. `oof` is of rows that a model did not see."
    if (found := summary.get("interval")) and "levels" in found:
        held = ", ".join(f"{share:.0%} of the {split} rows" for split, share in found["coverage"].items())
        yield f"The quantiles {found['levels'][0]:g} and {found['levels'][1]:g} hold between them {held}."
    elif found:
        for name, half, share in each_interval(one_or_all(subject.targets), found):
            of = f" of {_code(name)}" if len(subject.targets) > 1 else ""
            held = f", which holds {share:.0%} of the test rows" if share is not None else ""
            yield f"A {found['level']:.0%} interval{of} goes {half:.6g} to each side{held}."
    ends = [each for each in subject.outputs if each[0].endswith(("_low", "_high"))]
    for (low, *_), (high, _, half) in zip(ends[::2], ends[1::2], strict=True) if subject.interval is not None else ():
        where = f"lie {half:.6g} to each side" if half else "are quantiles that were learned"
        yield f"{_code(low)} and {_code(high)} {where} ({subject.interval:.0%})."
    if note := summary.get("note"):
        yield f"Note: {_cell(note)}."


def _figure(metrics: Mapping[str, Any], deviations: Mapping[str, Any], name: str) -> str:
    if metrics.get(name) is None:
        return ""
    spread = deviations.get(name)
    return f"{metrics[name]:.6g}" + ("" if spread is None else f" ± {spread:.2g}")


def _limits(subject: Subject) -> Iterator[str]:
    yield "- Beyond the ranges above the model extrapolates: nothing tells how far off it is there."
    if any(column.kind == CATEGORY for column in subject.whole.columns):
        yield "- A word not met in training counts as unknown: no column of its own, or the embedding that all of them"
        yield "  share. Capitals count, blanks around a word do not."
    yield "- A gap is filled as the table says. Of a row with one where training had none, with a number that is not"
    yield "  finite or with a date or a boolean that cannot be read, the prediction is NaN."
    yield "- The figures above are of rows like those it learned from: of another time or place they need not hold."


def _usage(subject: Subject, differences: Mapping[str, float]) -> Iterator[str]:
    columns = subject.whole.columns
    names = [f"{target}_predicted" for target in subject.targets]
    which = "[0]" if len(names) == 1 else "  # (rows, 1) for each target"
    for name in differences:
        yield "```python"
        if name.endswith(".onnx"):
            yield "import numpy as np, onnxruntime"
            yield f"session = onnxruntime.InferenceSession({name!r})"
            yield "rows = {  # one row; (rows, 1) each"
            yield from (f"    {column.name!r}: {_example(subject, place)}," for place, column in enumerate(columns))
            yield "}"
            yield f"predicted = session.run({names!r}, rows){which}"
        else:
            kinds = "numbers as they are, booleans 0 and 1, dates days since 1970, categories places, a gap NaN"
            yield "import torch  # nothing else"
            yield 'said = {"plumbline.json": ""}'
            yield f"program = torch.export.load({name!r}, extra_files=said).module()"
            yield f"# said['plumbline.json'] lists the columns in their order: {kinds}"
            yield f"predicted = program(torch.full((1, {len(columns)}), torch.nan, dtype=torch.float64))"
        yield "```"


def _example(subject: Subject, place: int) -> str:
    from src.exporting.check import cells

    column = subject.table.columns[place]
    known = np.flatnonzero(~np.isnan(subject.table.features[:, place].astype(np.float64)))
    row = subject.table.features[known[:1], place : place + 1] if len(known) else np.full((1, 1), np.nan)
    [value] = cells([column], row)[column.name][:, 0].tolist()
    value = float("nan") if value != value else value
    return f"np.array([[{value!r}]])" if column.kind == NUMBER else f"np.array([[{value!r}]], dtype=object)"


def _versions(subject: Subject) -> Iterator[str]:
    run = subject.summary.get("environment", {})
    known = {name: run[name] for name in ("python", "torch", "lightning", "git") if run.get(name)}
    yield "- trained with " + ", ".join(f"{name} {value}" for name, value in known.items())
    yield f"- exported with torch {version('torch')}" + "".join(f", {name} {v}" for name, v in _runtimes())
    for name in _KEYS:
        if (subject.cfg.get(name) or {}).get("_target_"):
            yield f"- {name}: {_code(_plain(container(subject.cfg[name])))}"
    scaling, target = build.scalings(subject.cfg)
    yield f"- features scaled by {scaling}, the target by {target}"


def _runtimes() -> Iterator[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError

    for name in ("onnx", "onnxruntime"):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _plain(values: Any) -> str:
    if isinstance(values, Mapping):
        return ", ".join(f"{'class' if key == '_target_' else key}={_plain(v)}" for key, v in values.items())
    return str(values)


def _code(text: str) -> str:
    return f"`{_cell(text).replace('`', 'ˋ')}`"


def _cell(text: str) -> str:
    """In one line, and without what ends a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
