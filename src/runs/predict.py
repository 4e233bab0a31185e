"""Predictions for new rows, from a run folder and nothing else."""

from collections.abc import Collection
from pathlib import Path

from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor


def predict(run: str, input: str, output: str | None, checkpoint: str, trust: Collection[str] = ()) -> Path:
    """Writes the input's columns and one more, ``TARGET_predicted``, and returns the file's path.

    Args:
        run: the run folder, one of its checkpoints, ``last`` or ``best``.
        input: a CSV with the run's feature columns.
        output: where to write; None: predictions/ inside the run folder.
        checkpoint: best or last, where ``run`` is no checkpoint.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.

    Raises:
        UserError: ``run`` is no run folder or names what a folder may not, the input lacks a feature column
            or holds something else than numbers in one, or the output cannot be written.
    """
    folder, checkpoint = RunFolder.with_checkpoint(run, checkpoint)
    source = Path(input)

    from src.data.reader import read_columns, read_header

    header = read_header(source)
    predictor = load_predictor(folder, load_config(folder, ("model",), trust), checkpoint)
    encoder = predictor.encoder
    # Unrounded, because the encoder takes the mean off first.
    features = read_columns(source, encoder.feature_names, predictor.dtype)
    name = f"{encoder.target_name}_predicted"
    if name in header:
        raise UserError(f"{source}: has a column {name!r} already")

    import pandas as pd

    # As text, so that the input's own columns come out as they went in.
    frame = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=True)
    frame[name] = predictor(features)
    target = Path(output) if output else folder.path / "predictions" / f"{source.stem}.csv"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(target, index=False)
    except OSError as error:
        raise UserError(f"output={target}: cannot be written ({error.strerror})") from None
    print(f"{len(frame)} predictions: {target}")
    return target
