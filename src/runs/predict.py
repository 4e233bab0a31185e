"""Predictions for new rows, from a run folder and nothing else."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor

if TYPE_CHECKING:
    from src.data.table import Column
    from src.runs.ensemble import Ensemble
    from src.training.predictor import Predictor

_SHOWN, _COLUMNS = 3, 7  # rows, and columns at most, that the terminal shows


def predict(
    run: str,
    input: str,
    output: str | None,
    checkpoint: str,
    trust: Collection[str] = (),
    interval: float | None = None,
) -> Path:
    """Writes the input's columns and ``TARGET_predicted``, and returns the file's path.

    A run of several quantiles has a column for each as well, ``TARGET_q0.05`` say.

    Args:
        run: the run folder, one of its checkpoints, ``last`` or ``best``.
        input: CSV or Parquet files with the run's feature columns, in any order.
        output: where to write; None: predictions/ inside the run folder.
        checkpoint: best or last, where ``run`` is no checkpoint.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.
        interval: between 0 and 1; ``TARGET_low`` and ``TARGET_high`` are written, between which so many targets lie.

    Raises:
        UserError: ``run`` is no run folder or names what a folder may not, the input lacks a feature column
            or holds in one what the run has not learned to read, or the output cannot be written.
    """
    folder, checkpoint = RunFolder.with_checkpoint(run, checkpoint)

    from src.data.form import Form, files
    from src.data.reader import Source
    from src.data.sources import like

    cfg = load_config(folder, ("model",), trust)
    written = {name: cfg.data.get(name) for name in vars(Form()) if cfg.data.get(name) is not None}
    paths = files(input)
    source = Source(paths, Form(**written))
    predictor = load_predictor(folder, cfg, checkpoint, trust)
    encoder = predictor.encoder
    columns, features = like(encoder.columns, source, list(cfg.data.get("missing") or []), predictor.dtype)
    reach = [] if interval is None else reach_of(folder, predictor.levels, interval)
    if taken := next((each for each in names_of(predictor, bool(reach)) if each in source.names), None):
        raise UserError(f"{input}: has a column {taken!r} already")

    # As text, so that the input's own columns come out as they went in.
    frame = source.cells(source.names).to_pandas()
    for each, column in predicted(predictor, columns, features, reach).items():
        frame[each] = column
    target = Path(output) if output else folder.path / "predictions" / f"{paths[0].stem}.csv"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(target, index=False)
    except OSError as error:
        raise UserError(f"output={target}: cannot be written ({error.strerror})") from None
    recode = encoder.recoder(columns)
    said = _said(encoder, features if recode is None else recode(features), len(source.names) - len(columns))
    print(frame.head(_SHOWN).to_string(index=False, max_cols=_COLUMNS, line_width=80))
    print(f"{input}: {len(frame)} predictions{said}: {target}")
    return target


def predicted(
    predictor: "Predictor | Ensemble", columns: "list[Column]", features: np.ndarray, reach: list[tuple[int, float]]
) -> dict[str, np.ndarray]:
    """A prediction for each row, the ends of its interval where there is one, and the quantiles where there are some.

    Args:
        predictor: of the run.
        columns, features: of the rows, as ``like`` has them.
        reach: as ``reach_of`` has it, or nothing.

    Returns:
        (rows,) by the name of the column.
    """
    found = predictor.on(columns, quantiles=True)(features)
    inner = found.T[np.argsort(predictor.levels)]
    every = [found[:, 0], *(found[:, place] + far for place, far in reach), *inner]
    return dict(zip(names_of(predictor, bool(reach)), every, strict=False))  # of one level there are no quantiles


def names_of(predictor: "Predictor | Ensemble", interval: bool) -> list[str]:
    """The columns of predictions."""
    target, levels = predictor.encoder.target_name, predictor.levels
    bounds = [f"{target}_low", f"{target}_high"] if interval else []
    return [f"{target}_predicted", *bounds, *(f"{target}_q{level:g}" for level in sorted(levels) if len(levels) > 1)]


def reach_of(folder: RunFolder, levels: list[float], interval: float) -> list[tuple[int, float]]:
    """Of the low and the high end: which of the levels it is, and how far from there.

    Raises:
        UserError: the interval is no share, or the run has nothing to tell it from.
    """
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
        raise UserError(f"interval must be a number between 0 and 1, both excluded, found {interval!r}")
    ends = [(1 - interval) / 2, (1 + interval) / 2]
    places = [place for end in ends for place, level in enumerate(levels) if abs(level - end) < 1e-9]
    if len(places) == 2:
        return [(place, 0.0) for place in places]
    from src.runs.ensemble import half_width, read_out_of_fold

    half = half_width(read_out_of_fold(folder.path / "predictions_oof.csv"), interval)
    return [(0, -half), (0, half)]


def _said(encoder: Any, features: np.ndarray, others: int) -> str:
    """What a reader of predictions should know of their rows (rows, features)."""
    from src.data.table import CATEGORY

    unknown = sum(int((features[:, i] < 0).sum()) for i, c in enumerate(encoder.columns) if c.kind == CATEGORY)
    counts = (
        (int(np.isnan(features).sum()), "gap filled as in training", "gaps filled as in training"),
        (unknown, "category not met in training", "categories not met in training"),
        (others, "other column carried along", "other columns carried along"),
    )
    said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return f" ({', '.join(said)})" if said else ""
