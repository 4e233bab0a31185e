"""A run's own figures again."""

import sys
from collections.abc import Collection
from typing import Any

from src.config import build
from src.runs.folder import RunFolder
from src.runs.restore import load_config, load_predictor


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
        print(
            f"note: {rows.source} has changed since the run; these figures are of the new rows",
            file=sys.stderr,
        )
    predictor = load_predictor(folder, cfg, checkpoint)

    from src.runs.outcome import Reference, outcome
    from src.runs.terminal import print_metrics

    part = build.partition(cfg, rows, cfg.seed)
    result = outcome(predictor, part) | {"reference": Reference(part).described}
    print_metrics(result, rows.source, rows.target_name, part.splits())
    return result["metrics"]
