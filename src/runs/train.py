"""What ``python -m src.train`` does for each job, alone or in a sweep."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from src.adapters.lightning_import import import_lightning
from src.config import build, resolvers
from src.config.check import check
from src.config.kinds import packages
from src.errors import NothingLeft, UserError
from src.runs.folder import RunFolder, run_command
from src.runs.lock import claimed
from src.runs.resume import continued
from src.training.task import larger_is_better, objectives_of

if TYPE_CHECKING:
    from src.training.history import Pruner

log = logging.getLogger(__name__)
resolvers.register()

PrunerOf = Callable[[Any, str, bool, int], "Pruner | None"]

_HYDRAS = {".hydra", "train.log"}  # what Hydra writes into a folder before the job starts


def run(cfg: DictConfig, pruner_of: PrunerOf) -> float | list[float]:
    """One job: checks, trains, shows; returns the objective, or a list where there are several.

    Alone, a diverged run exits with 1. In a sweep it returns an infinite objective and the sweep goes on. A run alone
    that resumes one in which nothing is left to do says so and leaves nothing behind.

    Args:
        cfg: as Hydra composed it.
        pruner_of: gives the pruner that a job's sweep asks for, from its ``hydra`` node, objective and epochs.

    Raises:
        UserError: the configuration, the table or the run to resume does not fit; nothing is left behind.
        KeyboardInterrupt: Ctrl-C, after everything was written.
    """
    hydra = HydraConfig.get()
    folder = RunFolder(hydra.runtime.output_dir)
    alone = hydra.mode == RunMode.RUN
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # as they were given, ${…} and all
    if cfg.resume:  # see unbound in src.train
        overrides = [override.removeprefix("++") for override in overrides]
    command = run_command(overrides, swept=not alone)
    if alone or not _is_first():
        # src.plugins.folders holds the folder, or the first of several processes does.
        return _run(cfg, folder, alone, command, overrides, pruner_of)
    with claimed(folder.path, str(folder.path), overrides):
        return _run(cfg, folder, alone, command, overrides, pruner_of)


def _run(
    cfg: DictConfig, folder: RunFolder, alone: bool, command: str, overrides: list[str], pruner_of: PrunerOf
) -> float | list[float]:
    hydra = HydraConfig.get()
    first = _is_first()
    try:
        if cfg.resume:
            cfg = continued(cfg, overrides, packages(cfg.trust))
        check(cfg)
        rows = build.table(cfg)
        OmegaConf.resolve(cfg)
        if first:
            # Resolved, so that the folder can be read where Hydra's own resolvers are not.
            OmegaConf.save(cfg, folder.config)
        import_lightning()
        from src.runs.fit import fit

        if not alone:
            # The epochs of each run would drown what a sweep has to say.
            logging.getLogger("src.training.progress").setLevel(logging.WARNING)
        drawn = alone if cfg.figures == "auto" else cfg.figures
        aim = build.objective(cfg)
        pruner = pruner_of(hydra, aim, larger_is_better(aim), cfg.trainer.max_epochs)
        summary = fit(cfg, rows, folder, command, overrides, drawn, pruner)
    except UserError as error:
        if not first:
            raise
        if alone:
            forget(folder.path)
            if isinstance(error, NothingLeft):
                log.info("%s", error)
                return RunFolder(cfg.resume).read_summary().get("objective", {}).get("value", math.nan)
        else:
            folder.write_summary(
                {"status": "failed", "message": str(error), "command": command, "overrides": overrides}
            )
        raise
    except Exception as error:
        if not first:
            raise
        message = f"{type(error).__name__}: {error}"
        folder.write_summary({"status": "failed", "message": message, "command": command, "overrides": overrides})
        raise
    if not summary:
        return math.nan  # the first of several processes has more to say
    return show(summary, folder, alone)


def _is_first() -> bool:
    """False in all but the first of several processes that somebody else started, torchrun say: it alone writes."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def show(summary: dict[str, Any], folder: RunFolder, alone: bool) -> float | list[float]:
    """Prints what came out, and ends the process where a single run went wrong."""
    objective: float = summary["objective"]["value"]
    status = summary["status"]
    if status == "diverged":
        log.warning("diverged: %s", summary["message"])
    if alone:
        from src.runs.terminal import print_summary

        print_summary(summary, folder.path)
    else:
        name = summary["objective"]["name"]
        log.info("%s: %s = %.6g in %.2f s", status, name, objective, summary["seconds"]["total"])
    if status == "interrupted":
        raise KeyboardInterrupt
    if alone and status == "diverged":
        raise SystemExit(1)
    values = list(objectives_of(summary).values())
    return values if len(values) > 1 else values[0]


def forget(folder: Path) -> None:
    """Removes what Hydra wrote for a job that never started, and the folders that this leaves empty."""
    logging.shutdown()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, logging.FileHandler)]:
        root.removeHandler(handler)  # Hydra's last word about the job would open its file again
    if {path.name for path in folder.iterdir()} <= _HYDRAS:
        rmtree(folder / ".hydra", ignore_errors=True)
        (folder / "train.log").unlink(missing_ok=True)
        for path in (folder, *folder.parents):
            if path == Path.cwd() or path.is_symlink() or any(path.iterdir()):
                break
            path.rmdir()
