"""From a run folder to files that predict without it, checked before they are kept."""

import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, open_dict

from src.config import build
from src.data.table import Column, Table
from src.errors import UserError, first_line
from src.runs.files import replacing
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}  # each made by src.exporting.FORMAT_file
_CARD = "MODEL_CARD.md"


def export(
    run: str,
    checkpoint: str,
    format: str,
    output: str | None,
    trust: Collection[str] = (),
    interval: float | None = None,
    rows: str | None = None,
    tolerance: float = 1e-6,
) -> list[Path]:
    """Writes a run's models, with their encoders, as one file of each format, and a model card beside.

    Args:
        run: the run folder, one of its checkpoints, ``last`` or ``best``.
        checkpoint: best or last, where ``run`` is no checkpoint.
        format: onnx, torch or all.
        output: a file, or a folder; None: export/ inside the run folder.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.
        interval: between 0 and 1; the ONNX file gets outputs between which so many targets lie.
        rows: where the run's rows lie now; None: where they were.
        tolerance: the largest relative difference to the run's own predictions, as ``largest_difference`` has it.

    Returns:
        The files.

    Raises:
        UserError: a value is of another kind, ``run`` is no run folder or names what a folder may not, its rows cannot
            be read, its net cannot be exported or comes to other predictions, or the output cannot be written. Nothing
            is left behind.
    """
    formats = _formats(format)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise UserError(f"tolerance must be a number between 0 and 1, both excluded, found {tolerance!r}")
    folder, checkpoint = RunFolder.with_checkpoint(run, checkpoint)
    targets, summary = _targets(folder, output, formats), folder.read_summary()
    if summary.get("status") == "diverged":
        raise UserError(f"run={run}: diverged, which leaves nothing to export")

    from src.exporting.card import card
    from src.exporting.check import ALTERED, largest_difference
    from src.exporting.subject import Subject
    from src.exporting.whole import Whole
    from src.runs.interval import ends_of, outputs

    cfg = load_config(folder, ("model", "data"), trust)
    predictor = load_predictor(folder, cfg, checkpoint, trust)
    table = _table(cfg, rows)
    if [(c.name, c.kind) for c in predictor.encoder.columns] != [(c.name, c.kind) for c in table.columns]:
        raise UserError(f"{table.source}: its columns are not those that the run learned")
    if (before := summary.get("data", {}).get("sha256")) and before != table.sha256:
        print(f"note: {table.source} has changed since the run; the check is on the new rows", file=sys.stderr)
    whole, names = Whole(predictor.flat(), predictor.levels), list(predictor.encoder.target_names)
    if names != list(table.target_names):
        raise UserError(f"{table.source}: its targets are not those that the run learned")
    ends = ends_of(folder, predictor.levels, interval)
    subject = Subject(cfg, summary, table, whole, names, interval, outputs(names, predictor.levels, ends))

    def own(columns: Sequence[Column], features: np.ndarray) -> np.ndarray:
        return predictor.on(list(columns), every=True)(features)

    contents: dict[Path, bytes] = {}
    differences: dict[str, float] = {}
    for each, path in targets.items():
        contents[path], exported = import_module(f"src.exporting.{each}_file").made(subject)
        found = largest_difference(exported, own, table, whole.may_gap.tolist())
        if not found <= tolerance:
            raise UserError(
                f"{path.name}: differs from the run's own predictions by {found:.2g}, more than tolerance={tolerance:g}"
            )
        differences[path.name] = found
    first = next(iter(contents))
    beside, stem = first.with_name(_CARD), first.stem
    contents[beside] = card(subject, stem, differences).encode()
    _write(contents, output)
    said = ", ".join(f"{found:.2g} ({name})" for name, found in differences.items())
    more = f", and on {min(len(table), ALTERED)} with gaps and unknown words" if any(whole.may_gap.tolist()) else ""
    print(f"checked on {len(table)} rows{more}: largest relative difference {said}")
    print(f"{', '.join(path.name for path in contents)}: {beside.parent}")
    return list(contents)


def _formats(format: str) -> list[str]:
    if format not in (*FORMATS, "all"):
        raise UserError(f"format must be one of {', '.join(FORMATS)}, all, found {format!r}")
    found = list(FORMATS) if format == "all" else [format]
    if "onnx" in found:
        try:
            for name in ("onnx", "onnxruntime"):
                import_module(name)
        except ImportError as error:
            cure = "python -m pip install -c constraints.txt -e '.[export]'"
            raise UserError(f"format={format} needs onnx and onnxruntime ({first_line(error)}): {cure}") from None
    return found


def _targets(folder: RunFolder, output: str | None, formats: list[str]) -> dict[str, Path]:
    """Where each format goes.

    Raises:
        UserError: the output's name is another format's, or a card of something else lies there.
    """
    place = folder.path / "export" if output is None else Path(str(output))
    named = next((each for each, suffix in FORMATS.items() if place.suffix == suffix), None)
    if named and named not in formats:
        raise UserError(f"output={output}: format={formats[0]} writes {FORMATS[formats[0]]}")
    from src.exporting.card import heading

    stem = place.with_suffix("") if named else place / "model"
    found = {each: stem.with_name(stem.name + FORMATS[each]) for each in formats}
    beside = stem.with_name(_CARD)
    if beside.is_file():
        with beside.open(encoding="utf-8", errors="replace") as file:
            if file.readline().strip() != heading(stem.name):  # somebody's own, or that of another model
                raise UserError(f"{beside}: is not the card of {stem.name}: choose another folder by output=DIR")
    return found


def _table(cfg: DictConfig, rows: str | None) -> Table:
    if rows is not None:
        if "path" not in cfg.data:
            raise UserError(f"rows={rows}: the run learned from {cfg.data._target_}, which reads no file")
        with open_dict(cfg):
            cfg.data.path = str(rows)
    try:
        return build.table(cfg)
    except UserError as error:
        cure = "" if rows is not None or "path" not in cfg.data else "; rows=FILE says where the run's rows are now"
        raise UserError(f"{error}{cure}") from None


def _write(contents: dict[Path, bytes], output: str | None) -> None:
    """All of the files, or none."""
    try:
        with ExitStack() as stack:
            for path, content in contents.items():
                stack.enter_context(replacing(path)).write_bytes(content)
    except OSError as error:
        where = output or next(iter(contents)).parent
        raise UserError(f"output={where}: cannot be written ({error.strerror})") from None
