"""Predictions for new rows, from a run folder and nothing else."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from errno import EISDIR
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.cells import harmless_table
from src.data.table import CATEGORY
from src.errors import UserError, printable
from src.runs.files import replacing
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor

if TYPE_CHECKING:
    import pandas as pd

    from src.data.encoder import Encoder

_SHOWN, _COLUMNS = 3, 7  # rows, and columns at most, that the terminal shows


def predict(
    run: str,
    input: str,
    output: str | None,
    checkpoint: str,
    trust: Collection[str] = (),
    interval: float | None = None,
) -> Path:
    """Writes the input's columns and for each target ``TARGET_predicted``, and returns the file's path.

    A run of several quantiles has a column for each as well, ``TARGET_q0.05`` say. Text that a spreadsheet would
    compute has a quote before it, see ``src.data.cells``.

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
    from src.data.stream import Stream, like
    from src.runs.interval import ends_of, outputs

    cfg = load_config(folder, ("model",), trust)
    written = {name: cfg.data.get(name) for name in vars(Form()) if cfg.data.get(name) is not None}
    paths = files(str(input))
    source = Stream(paths, Form(**written))
    predictor = load_predictor(folder, cfg, checkpoint, trust)
    encoder = predictor.encoder
    columns = outputs(encoder.target_names, predictor.levels, ends_of(folder, predictor.levels, interval))
    if taken := next((name for name, *_ in columns if name in source.names), None):
        raise UserError(f"{input}: has a column {taken!r} already")
    target = Path(str(output)) if output else folder.path / "predictions" / f"{paths[0].stem}.csv"
    if not output and (link := next((path for path in (target.parent, target) if path.is_symlink()), None)):
        raise UserError(f"run={run}: {link} is a link, which may lead anywhere: output=FILE says where to write")
    shown: pd.DataFrame | None = None
    counts = Counts()
    try:
        if target.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with replacing(target) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            for piece in like(encoder.columns, source, list(cfg.data.get("missing") or []), predictor.dtype):
                # Of a CSV file its text; a whole number of Parquet stays one, though there be gaps in another piece.
                frame = piece.cells.to_pandas(types_mapper=_whole)
                predicted = predictor.on(piece.columns, every=True)(piece.features)
                for name, place, far in columns:
                    frame[name] = predicted[:, place] + far
                harmless_table(frame).to_csv(file, index=False, header=shown is None)
                shown = frame.head(_SHOWN) if shown is None else shown
                recode = encoder.recoder(piece.columns)
                counts.add(encoder, piece.features if recode is None else recode(piece.features))
    except OSError as error:
        raise UserError(f"output={target}: cannot be written ({error.strerror})") from None
    assert shown is not None  # a file without rows was refused
    print(printable(shown.to_string(index=False, max_cols=_COLUMNS, line_width=80)))
    said = counts.said(len(source.names) - len(encoder.columns))
    print(printable(f"{input}: {counts.rows} predictions{said}: {target}"))
    return target


def _whole(kind: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    return pd.ArrowDtype(kind) if pa.types.is_integer(kind) else None


@dataclass
class Counts:
    """What a reader of predictions should know of their rows."""

    rows: int = 0
    gaps: int = 0
    unknown: int = 0

    def add(self, encoder: "Encoder", features: np.ndarray) -> None:
        """Counts more rows (rows, features), recoded."""
        words = [place for place, column in enumerate(encoder.columns) if column.kind == CATEGORY]
        self.rows += len(features)
        self.gaps += int(np.isnan(features).sum())
        self.unknown += int((features[:, words] < 0).sum())

    def said(self, others: int) -> str:
        """In parentheses; ``others`` are columns that were carried along."""
        counts = (
            (self.gaps, "gap filled as in training", "gaps filled as in training"),
            (self.unknown, "category not met in training", "categories not met in training"),
            (others, "other column carried along", "other columns carried along"),
        )
        said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
        return f" ({', '.join(said)})" if said else ""
