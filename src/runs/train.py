"""What ``python -m src.train`` does for each job, alone or in a sweep."""

import logging
import math
import os
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.adapters import signals
from src.adapters.lightning_import import import_lightning
from src.config import build, resolvers, way
from src.config.answers import raised_by, told
from src.config.check import check, settle
from src.config.keys import check_keys
from src.config.kinds import packages
from src.config.objective import objective
from src.config.values import container, flatten
from src.config.yaml_files import masked_yaml
from src.data.described import described
from src.errors import NothingLeft, UserError, log_printable
from src.runs.again import asked, is_own, note, note_overrides
from src.runs.files import write_text
from src.runs.folder import RunFolder, run_command
from src.runs.lock import claimed
from src.runs.logs import hushed
from src.runs.rerun import compared, repeated
from src.runs.resume import continued
from src.runs.status import FAILED, INTERRUPTED, is_over
from src.training.task import larger_is_better, objectives_of

if TYPE_CHECKING:
    from src.training.history import Pruner

log = logging.getLogger(__name__)
resolvers.register()
log_printable()  # as a door does; a worker has none

PrunerOf = Callable[[Any, str, bool, int, int], "Pruner | None"]
Fit = Callable[..., dict[str, Any]]
Show = Callable[[dict[str, Any], RunFolder, bool, Collection[str]], float | list[float]]


def run(cfg: DictConfig, pruner_of: PrunerOf, together: Fit, shown: Show | None = None) -> float | list[float]:
    """One job: checks, trains, shows; returns the objective, or a list where there are several.

    Alone, a diverged run exits with 1. In a sweep it returns an infinite objective and the sweep goes on. A run alone
    that resumes one in which nothing is left to do says so and leaves nothing behind.

    Args:
        cfg: as Hydra composed it.
        pruner_of: gives the pruner that a job's sweep asks for, from its ``hydra`` node, objective, epochs and models.
        together: ``fit`` for models that predict together.
        shown: what becomes of the summary, in the place of ``show``.

    Raises:
        UserError: the configuration, the table or the run to resume does not fit; nothing is left behind.
        KeyboardInterrupt: Ctrl-C, after everything was written.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(hydra.runtime.output_dir)
    alone = hydra.mode == RunMode.RUN
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # as they were given, ${…} and all
    if (cfg.get("resume") or cfg.get("rerun")) is not None:  # see unbound in src.train
        overrides = [override.removeprefix("++") for override in overrides]
    if alone or not _is_first():
        # src.plugins.folders holds the folder, or the first of several processes does.
        return _run(cfg, folder, alone, overrides, pruner_of, together, shown or show)
    with claimed(folder.path, str(folder.path), overrides):
        return _run(cfg, folder, alone, overrides, pruner_of, together, shown or show)


def _run(
    cfg: DictConfig,
    folder: RunFolder,
    alone: bool,
    overrides: list[str],
    pruner_of: PrunerOf,
    together: Fit,
    shown: Show,
) -> float | list[float]:
    hydra = HydraConfig.get()
    first = _is_first()
    source, own = cfg.get("resume"), alone and is_own(cfg.get("resume"), folder.path)
    asked_for = asked(folder, overrides) if own else overrides
    command = run_command(asked_for, swept=not alone)
    try:
        check_keys(cfg)
        OmegaConf.resolve(cfg)
        if own and hydra.output_subdir is not None:  # nothing was begun there; see src.plugins.folders
            cfg.resume, own = None, False
            log.info("%s: nothing was begun there, the run begins", folder.path)
            note_overrides(folder, asked_for)
        elif cfg.resume is not None:
            cfg = continued(cfg, overrides, packages(cfg.trust), own)
        elif cfg.rerun is not None:
            cfg = repeated(cfg, overrides, packages(cfg.trust))
            summary = RunFolder.existing(cfg.rerun, "rerun").read_summary()
            command, asked_for = summary["command"], summary["overrides"]  # what does this run as well
        settle(cfg)
        check(cfg)
        way.check_accelerator(cfg)
        rows = build.table(cfg)
        if alone and first and "path" in cfg.data:
            for line in described(rows):
                log.info("%s", line)
        if alone and first and (said := target_remark(cfg)):
            log.info("%s", said)
        if first and not own:
            # Resolved, so that the folder can be read where Hydra's own resolvers are not.
            write_text(folder.config, masked_yaml(OmegaConf.to_yaml(cfg)), durable=True)
        import_lightning()
        from src.runs.ensemble import is_several
        from src.runs.fit import fit
        from src.runs.point import was_killed

        aim, ignore = objective(cfg).replace("oof/", "val/"), cfg.checks.ignore
        several = is_several(cfg)
        drawn = alone if cfg.figures == "auto" else cfg.figures
        models = (cfg.folds or cfg.ensemble) if several else 1
        if cfg.baselines is None:
            # A sweep has them once, beside its leaderboard. A net alone is held against what costs it no time.
            cfg.baselines = alone and (True if several else "line" if "path" in cfg.data else False)
        pruner = pruner_of(hydra, aim, larger_is_better(aim), cfg.trainer.max_epochs, models)
        train = together if several else fit
        accepted: Callable[[], None] | None = partial(note, folder, cfg, asked_for) if own else None
        # What a pruner has seen of earlier epochs is not in the folder.
        if not alone and pruner is None and was_killed(folder, cfg):
            log.info("%s: goes on from its checkpoint", folder.path)
            accepted = _nothing
        # The epochs of each run would drown what a sweep has to say.
        with nullcontext() if alone else hushed("src.training.progress"):
            summary = train(cfg, rows, folder, command, asked_for, drawn, pruner, accepted)
    except KeyboardInterrupt:
        if first and any(each.begun() for each in (folder, *folder.members())) and not folder.read_summary():
            _end(folder, {"status": INTERRUPTED, "command": command, "overrides": asked_for})
        raise
    except Exception as error:
        mistake = _told(error, cfg)
        if first and alone and isinstance(mistake, NothingLeft):
            log.info("%s", mistake)
            return RunFolder(str(source)).read_summary().get("objective", {}).get("value", math.nan)
        refused = alone and mistake and (own or not (folder.checkpoints.exists() or folder.metrics.exists()))
        if first and not refused:
            said = str(mistake or f"{type(error).__name__}: {error}")
            _end(folder, {"status": FAILED, "message": said, "command": command, "overrides": asked_for})
        if mistake:
            raise mistake from error
        raise
    if not summary:
        return math.nan  # the first of several processes has more to say
    try:
        return shown(summary, folder, alone, ignore)
    finally:
        if cfg.rerun is not None and is_over(summary["status"]):
            for line in compared(RunFolder.existing(cfg.rerun, "rerun"), folder):
                log.info("%s", line)


def target_remark(cfg: DictConfig) -> str | None:
    """What predictions are where the net learns a curve of the target; None where it learns the target itself."""
    _, kind = build.scalings(cfg)
    if kind not in ("log", "yeo-johnson"):
        return None
    return (
        f"data.target_scaling={kind}: predictions are about medians, not means: where large values are rare their sum "
        "is too small, which rmse holds against them and mae does not"
    )


def _nothing() -> None:
    """A trial that goes on is asked for by the same overrides as before."""


def _end(folder: RunFolder, summary: dict[str, Any]) -> None:
    """Says how a run ended that came to nothing; where there is no room for that, or no folder, it goes without."""
    with suppress(OSError):
        folder.write_summary(summary)


def _told(error: Exception, cfg: DictConfig) -> UserError | None:
    """A mistake of the user's, or in code of the user's own, as a line; None for any other error."""
    if mistake := told(error):
        return mistake
    with suppress(OmegaConfBaseException):
        targets = [value for key, value in flatten(container(cfg)).items() if key.endswith("_target_")]
        if said := raised_by(error, targets):
            return UserError(said)
    return None


def _is_first() -> bool:
    """False in all but the first of several processes that somebody else started, torchrun say: it alone writes."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def show(summary: dict[str, Any], folder: RunFolder, alone: bool, ignore: Collection[str] = ()) -> float | list[float]:
    """Prints what came out, checks included but for those to ignore; ends the process where a single run went wrong."""
    objective: float = summary["objective"]["value"]
    status = summary["status"]
    if status == "diverged":
        log.warning("diverged: %s", summary["message"])
    if alone:
        from src.checks.training import of_run
        from src.runs.terminal import print_summary

        columns = folder.read_metrics() if folder.metrics_are_few() else {}
        print_summary(summary, folder.path, of_run(summary, columns, ignore))
    else:
        name = summary["objective"]["name"]
        log.info("%s: %s = %.6g in %.2f s", status, name, objective, summary["seconds"]["total"])
    if alone and status == INTERRUPTED:
        log.info("goes on by: python -m src.train hydra.run.dir=%s resume=%s", folder.path, folder.path)
    # In its last epoch, or in the one that it diverges in, a run comes to its own end: then it is the sweep's turn.
    if status == INTERRUPTED or (signals.asked() and not alone):
        raise KeyboardInterrupt
    if alone and status == "diverged":
        raise SystemExit(1)
    values = list(objectives_of(summary).values())
    return values if len(values) > 1 else values[0]
