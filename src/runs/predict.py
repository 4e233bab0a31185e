"""Predictions for new rows, from a run folder and nothing else."""

from collections.abc import Collection
from pathlib import Path

from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor


def predict(
    run: str,
    input: str,
    output: str | None,
    checkpoint: str,
    trust: Collection[str] = (),
    interval: float | None = None,
) -> Path:
    """Writes the input's columns and ``TARGET_predicted``, and returns the file's path.

    Args:
        run: the run folder, one of its checkpoints, ``last`` or ``best``.
        input: a CSV with the run's feature columns.
        output: where to write; None: predictions/ inside the run folder.
        checkpoint: best or last, where ``run`` is no checkpoint.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.
        interval: between 0 and 1; ``TARGET_low`` and ``TARGET_high`` are written, between which so many targets lie.

    Raises:
        UserError: ``run`` is no run folder or names what a folder may not, the input lacks a feature column
            or holds something else than numbers in one, or the output cannot be written.
    """
    folder, checkpoint = RunFolder.with_checkpoint(run, checkpoint)
    source = Path(input)

    from src.data.reader import read_columns, read_header

    half = None if interval is None else _half_width(folder, interval)
    header = read_header(source)
    predictor = load_predictor(folder, load_config(folder, ("model",), trust), checkpoint, trust)
    encoder = predictor.encoder
    # Unrounded, because the encoder takes the mean off first.
    features = read_columns(source, encoder.feature_names, predictor.dtype)
    name = f"{encoder.target_name}_predicted"
    names = [name] if half is None else [name, f"{encoder.target_name}_low", f"{encoder.target_name}_high"]
    if taken := next((each for each in names if each in header), None):
        raise UserError(f"{source}: has a column {taken!r} already")

    import pandas as pd

    # As text, so that the input's own columns come out as they went in.
    frame = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=True)
    predicted = predictor(features)
    for each, far in zip(names, (0.0, -(half or 0.0), half or 0.0), strict=False):
        frame[each] = predicted + far
    target = Path(output) if output else folder.path / "predictions" / f"{source.stem}.csv"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(target, index=False)
    except OSError as error:
        raise UserError(f"output={target}: cannot be written ({error.strerror})") from None
    print(f"{len(frame)} predictions: {target}")
    return target


def _half_width(folder: RunFolder, interval: float) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < 1:
        raise UserError(f"interval must be a number between 0 and 1, both excluded, found {interval!r}")
    from src.runs.ensemble import half_width, read_out_of_fold

    return half_width(read_out_of_fold(folder.path / "predictions_oof.csv"), interval)
