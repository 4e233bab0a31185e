"""Models that predict together go on each from its own run in members/ of the run that is resumed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

from src.config.values import Values
from src.errors import NothingLeft, UserError
from src.runs.folder import RunFolder
from src.runs.point import same_run, was_killed
from src.stacks.job import Job


def from_members(run: str, jobs: Sequence[Job]) -> list[Job]:
    """Each model's job, as one that resumes its own run.

    Raises:
        UserError: the run has not a folder for each.
    """
    members = RunFolder.existing(run, "resume").members()
    if len(members) != len(jobs):
        raise UserError(f"resume={run}: has {len(members)} models in members/, expected {len(jobs)} to go on from")
    pairs = zip(jobs, members, strict=True)
    return [replace(job, cfg=Values(job.cfg, resume=str(member.path))) for job, member in pairs]


def unchanged(jobs: Sequence[Job]) -> bool:
    """Whether each model that goes on does so in the training that it was stopped in, with its settings and rows.

    Args:
        jobs: as ``from_members`` gives them; or else such as go on in their own folders, where some may have ended,
            and others not have begun.
    """
    if jobs[0].cfg.get("allow_changed_data"):
        return False
    if jobs[0].cfg.get("resume") is not None:
        return all(was_killed(RunFolder(job.cfg.resume), job.cfg) for job in jobs)
    return all(same_run(job.folder, job.cfg) for job in jobs if job.folder.begun())


def trained(jobs: Sequence[Job], train: Callable[[Job], dict[str, Any]]) -> list[dict[str, Any]]:
    """Trains each job; of a model in which nothing is left to do the run is copied as it is.

    Args:
        jobs: as ``from_members`` gives them.
        train: trains one and returns its summary.

    Raises:
        NothingLeft: that is true of all of them.
        UserError: one of them cannot go on; nothing is left of the others.
    """
    found: list[dict[str, Any]] = []
    over: list[NothingLeft] = []
    for job in jobs:
        try:
            found.append(train(job))
        except NothingLeft as error:
            over.append(error)
            copytree(Path(job.cfg.resume), job.folder.path, dirs_exist_ok=True)
            found.append(job.folder.read_summary())
        except UserError:
            rmtree(job.folder.path.parent, ignore_errors=True)  # models of which some go on are no run
            raise
    if len(over) == len(jobs):
        rmtree(jobs[0].folder.path.parent, ignore_errors=True)
        raise over[0]
    return found
