"""A run's own figures again."""

import sys
from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig

from src.config import build
from src.data.table import Table, one_or_all
from src.errors import printable
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_models, load_one, members_of


def evaluate(run: str, checkpoint: str, trust: Collection[str] = ()) -> dict[str, Any]:
    """Evaluates a checkpoint on the run's own splits, prints the table and returns the metrics.

    Args:
        run: the run folder, one of its checkpoints, ``last`` or ``best``.
        checkpoint: best or last, where ``run`` is no checkpoint.
        trust: packages whose nets the folder may name; the closed list of ``src.config.kinds`` needs no trust.

    Raises:
        UserError: ``run`` is no run folder or names what a folder may not, lacks the checkpoint, or its data
            cannot be read.
    """
    folder, checkpoint = RunFolder.with_checkpoint(run, checkpoint)
    cfg = load_config(folder, trust=trust)
    rows = build.table(cfg)
    summary = folder.read_summary()
    before = summary.get("data", {}).get("sha256")
    if before and before != rows.sha256:
        said = f"note: {rows.source} has changed since the run; these figures are of the new rows"
        print(printable(said), file=sys.stderr)
    if members_of(folder, cfg):
        return _evaluate_together(folder, cfg, rows, checkpoint, trust)
    predictor = load_one(folder, cfg, checkpoint)

    from src.runs.outcome import outcome
    from src.runs.reference import Reference
    from src.runs.terminal import print_metrics

    part = build.partition(cfg, rows)
    part.use(predictor.encoder)  # the rows may have changed, and with them the places of categories
    reference = Reference(part)
    result = outcome(predictor, part) | {"reference": reference.described}
    result["baselines"] = reference.baselines(list(summary.get("baselines", {})))
    print_metrics(result, rows.source, one_or_all(rows.target_names), part.splits())
    return result["metrics"]


def _evaluate_together(
    folder: RunFolder, cfg: DictConfig, rows: Table, checkpoint: str, trust: Collection[str]
) -> dict[str, Any]:
    from src.runs import ensemble
    from src.runs.baselines import asked
    from src.runs.terminal import print_models

    predicts = load_models(folder, cfg, checkpoint, trust)
    parts = ensemble.partition_of(cfg, rows)
    for predictor, part in zip(predicts, parts, strict=True):
        part.use(predictor.encoder)  # see ``evaluate``
    judged = ensemble.judge(predicts, parts, bool(cfg.folds))
    found: dict[str, Any] = {"metrics": judged.figures, "deviations": judged.deviations}
    found["baselines"] = ensemble.baselines(parts, bool(cfg.folds), asked(cfg.get("baselines"), True))
    print_models(found, len(folder.members()), rows.source, one_or_all(rows.target_names))
    if "weights" in (summary := folder.read_summary()):
        print(printable(f"note: {summary['note']}"))
    return judged.figures
