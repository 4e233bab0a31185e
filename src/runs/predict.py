"""Predictions for new rows, from a run folder and nothing else."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from src.data.cells import harmless_table
from src.errors import UserError, printable
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor

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

    Text that a spreadsheet would compute has a quote before it, see ``src.data.cells``.

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

    half = None if interval is None else _half_width(folder, interval)
    cfg = load_config(folder, ("model",), trust)
    written = {name: cfg.data.get(name) for name in vars(Form()) if cfg.data.get(name) is not None}
    paths = files(input)
    source = Source(paths, Form(**written))
    predictor = load_predictor(folder, cfg, checkpoint, trust)
    encoder = predictor.encoder
    columns, features = like(encoder.columns, source, list(cfg.data.get("missing") or []), predictor.dtype)
    name = f"{encoder.target_name}_predicted"
    names = [name] if half is None else [name, f"{encoder.target_name}_low", f"{encoder.target_name}_high"]
    if taken := next((each for each in names if each in source.names), None):
        raise UserError(f"{input}: has a column {taken!r} already")

    # As text, so that the input's own columns come out as they went in.
    frame = source.cells(source.names).to_pandas()
    predicted = predictor.on(columns)(features)
    for each, far in zip(names, (0.0, -(half or 0.0), half or 0.0), strict=False):
        frame[each] = predicted + far
    target = Path(output) if output else folder.path / "predictions" / f"{paths[0].stem}.csv"
    if not output and (link := next((path for path in (target.parent, target) if path.is_symlink()), None)):
        raise UserError(f"run={run}: {link} is a link, which may lead anywhere: output=FILE says where to write")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        harmless_table(frame).to_csv(target, index=False)
    except OSError as error:
        raise UserError(f"output={target}: cannot be written ({error.strerror})") from None
    recode = encoder.recoder(columns)
    said = _said(encoder, features if recode is None else recode(features), len(source.names) - len(columns))
    print(printable(frame.head(_SHOWN).to_string(index=False, max_cols=_COLUMNS, line_width=80)))
    print(printable(f"{input}: {len(frame)} predictions{said}: {target}"))
    return target


def _half_width(folder: RunFolder, interval: float) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
        raise UserError(f"interval must be a number between 0 and 1, both excluded, found {interval!r}")
    from src.runs.ensemble import half_width, read_out_of_fold

    if not folder.is_as_written(folder.out_of_fold):
        raise UserError(f"{folder.out_of_fold}: is damaged, its checksum in summary.json is another one")
    return half_width(read_out_of_fold(folder.out_of_fold), interval)


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
