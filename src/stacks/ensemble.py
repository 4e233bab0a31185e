"""Trains the models of a run that predict together, folds or seeds, as one stack where that can be."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from src.adapters.signals import asked
from src.checks.training import no_better
from src.config.objective import objectives
from src.config.values import Config, Values, container, flatten
from src.config.yaml_files import dump, masked_yaml
from src.data.encoder import Shape
from src.data.table import Table
from src.errors import NothingLeft
from src.runs import baselines, ensemble
from src.runs.files import write_text
from src.runs.fit import fit
from src.runs.folder import RunFolder, run_command
from src.runs.outcome import elapsed
from src.runs.status import INTERRUPTED, has_result, is_over
from src.stacks import resumed
from src.stacks.grouping import why_alone
from src.stacks.job import Job
from src.stacks.members import checkpoint, write
from src.stacks.nets import nets_of
from src.stacks.stack import Group
from src.training.progress import StackProgress
from src.training.stack import Alone
from src.training.task import objective_of

if TYPE_CHECKING:
    from src.training.history import Pruner

_OF_A_MEMBER = ("status", "best_epoch", "stopped", "metrics")  # what the whole summary says of each

log = logging.getLogger(__name__)


def fit_together(
    cfg: Config,
    rows: Table,
    folder: RunFolder,
    command: str,
    overrides: Sequence[str],
    figures: bool,
    pruner: "Pruner | None" = None,
    own: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Trains each model in members/ of the run's folder and writes what they come to together, summary.json last.

    Args:
        cfg: checked and resolved; ``folds`` or ``ensemble`` says how many.
        rows: what ``build.table`` read.
        folder: where everything goes.
        command, overrides: how this run was asked for.
        figures: whether to draw what they come to together.
        pruner: asked after each epoch for the models together.
        own: see ``fit``.

    Returns:
        The summary.

    Raises:
        UserError: something in the configuration cannot be built, or no model came to a result.
    """
    started = time.perf_counter() - rows.seconds
    if own:
        own()
        folder.tidy()
    else:
        folder.clear(overrides)
    jobs = [
        Job(
            place,
            Values(own, figures=cfg.figures is True, baselines=False, rerun=None),
            folder.member(place),
            [*overrides, *more],
        )
        for place, (own, more) in enumerate(ensemble.members(Values.of(container(cfg))))
    ]
    hydra = folder.hydra.read_text(encoding="utf-8") if folder.hydra.is_file() else ""
    resumes = cfg.get("resume") is not None and own is None
    reason = why_alone(flatten(jobs[0].cfg) | {"resume": None}, Values.of(jobs[0].cfg))
    if resumes:
        jobs = resumed.from_members(str(cfg.resume), jobs)
    if (resumes or own) and not resumed.unchanged(jobs):
        reason = "they go on from where each was stopped"
    found = {job.number: job.folder.read_summary() for job in jobs if own and not reason}
    found = {number: summary for number, summary in found.items() if is_over(summary.get("status"))}
    if not reason:
        try:
            found |= _stacked(rows, [job for job in jobs if job.number not in found], hydra, pruner)
        except Alone as why:
            reason = str(why)
    if reason:
        log.info("model by model: %s", reason)
    train = partial(_alone, rows, hydra, own is not None)
    if resumes and reason:
        summaries = resumed.trained(jobs, train)
    else:
        summaries = [found.get(job.number) or train(job) for job in jobs]
    trained = time.perf_counter()
    summary = _summary(cfg, rows, folder, jobs, summaries, figures)
    summary |= {"command": command, "overrides": list(overrides)}
    fitted = sum(each["seconds"]["fit"] for each in summaries)
    summary["seconds"] = {"load": rows.seconds, "fit": fitted, "write": elapsed(trained), "total": elapsed(started)}
    folder.write_summary(summary)
    return summary


def _stacked(rows: Table, jobs: list[Job], hydra: str, pruner: "Pruner | None") -> dict[int, dict[str, Any]]:
    if not jobs:
        return {}
    group = Group(rows, jobs, nets_of(Shape.of(rows.columns), jobs))
    progress = StackProgress(len(jobs), jobs[0].cfg.trainer.max_epochs, sys.stderr.isatty())
    files = partial(_files, hydra)
    # Together, whatever memory likes: a pruner judges all of them at once.
    watch = (lambda _: pruner) if pruner else None
    trained = group.train(len(jobs), progress, watch, partial(checkpoint, files=files))
    return {job.number: summary for each in trained for job, summary in write(each, files)}


def _alone(rows: Table, hydra: str, own: bool, job: Job) -> dict[str, Any]:
    for name, text in _files(hydra, job).items():
        path = job.folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    command = run_command(job.overrides, swept=False)
    try:
        summary = fit(
            job.cfg, rows, job.folder, command, job.overrides, job.cfg.figures, own=(lambda: None) if own else None
        )
    except NothingLeft:
        if not own:
            raise
        return job.folder.read_summary()
    if summary["status"] == INTERRUPTED or asked():
        raise KeyboardInterrupt
    return summary


def _files(hydra: str, job: Job) -> dict[str, str]:
    """.hydra/ of a member: its own configuration, and the run's record of how it was started."""
    return {
        ".hydra/config.yaml": masked_yaml(dump(container(job.cfg))),
        ".hydra/hydra.yaml": hydra,
        ".hydra/overrides.yaml": masked_yaml(dump(job.overrides)),
    }


def _summary(
    cfg: Config, rows: Table, folder: RunFolder, jobs: list[Job], summaries: list[dict[str, Any]], figures: bool
) -> dict[str, Any]:
    """What the models come to together, ``command`` and ``seconds`` still open; draws it where that is wanted."""
    from src.runs.draw import draw_several
    from src.runs.reference import Reference
    from src.runs.restore import load_one

    aims, folds = objectives(cfg), bool(cfg.folds)
    without = next((place for place, each in enumerate(summaries) if not has_result(each["status"])), None)
    parts = ensemble.partition_of(cfg, rows)
    found: dict[str, Any] = {"metrics": {}, "deviations": {}, "baselines": {}}
    if without is None:
        predictors = [load_one(job.folder, job.cfg, "best") for job in jobs]
        judged = ensemble.judge(predictors, parts, folds)
        found = {"metrics": judged.figures, "deviations": judged.deviations}
        found["baselines"] = ensemble.baselines(parts, folds, baselines.asked(cfg.get("baselines"), True))
        if folds:
            found["interval"] = judged.interval(0.9)
            ensemble.write_out_of_fold(folder.path / "predictions_oof.csv", judged.out_of_fold, rows.target_names)
        if figures:
            draw_several(cfg, folder, predictors, parts, judged, found)
    summary = {
        "status": "completed" if without is None else summaries[without]["status"],
        "seed": cfg.seed,
        "epochs": max(each["epochs"] for each in summaries),
        "steps": max(each["steps"] for each in summaries),
        "objective": objective_of(found["metrics"], aims[0]),
        "parameters": {},
        **found,
        "data": Reference(parts[0]).data,
        "environment": summaries[0]["environment"],
        "members": [
            {"folder": f"members/{job.number}"} | {key: each[key] for key in _OF_A_MEMBER if key in each}
            for job, each in zip(jobs, summaries, strict=True)
        ],
    }
    if len(aims) > 1:
        summary["objectives"] = [objective_of(found["metrics"], aim) for aim in aims]
    if without is not None and "message" in summaries[without]:
        summary["message"] = f"members/{without}: {summaries[without]['message']}"
    elif note := no_better(found["metrics"], found["baselines"]):
        summary["note"] = note
    return summary
