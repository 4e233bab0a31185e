"""What a run that goes on from another has to know before it has a folder: which run that is, and its name."""

import re
from pathlib import Path

from omegaconf import DictConfig, read_write

from src.config.resolvers import within
from src.config.yaml_files import load
from src.runs.again import is_own
from src.runs.folder import RunFolder


def goes_into_itself(config: DictConfig) -> bool:
    """Whether a run goes on in its own folder, or begins there: ``hydra.run.dir`` and ``resume`` name the same."""
    if config.get("resume") is None or not named_by_user(config, "hydra.run.dir"):
        return False
    return is_own(config.resume, Path(str(within(config, lambda: config.hydra.run.dir))))


def settle_resume(config: DictConfig, own: bool) -> None:
    """Says which run ``resume=last`` means now: a moment later the newest is the one that resumes it."""
    if config.get("resume") is None:
        return
    if not own:
        with read_write(config):
            config.resume = str(RunFolder.existing(config.resume, "resume").path)
    _name_by_run(config)


def _name_by_run(config: DictConfig) -> None:
    """Takes the name of the run that is resumed, which conf/'s choices do not tell."""
    try:
        name = str(load(RunFolder(config.resume).config)["name"])
    except Exception:  # whatever is wrong with the folder, the job says
        return
    if re.fullmatch(r"[\w+-][\w.+-]*", name) and not any(
        override.lstrip("+").startswith("name=") for override in config.hydra.overrides.task
    ):
        with read_write(config):
            config.name = name


def named_by_user(config: DictConfig, key: str) -> bool:
    return any(override.startswith(key) for override in config.hydra.overrides.hydra)
