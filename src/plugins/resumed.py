"""What a run that goes on from another has to know before it has a folder: which run that is, and its name."""

import re
from pathlib import Path

from omegaconf import DictConfig, read_write

from src.config.resolvers import within
from src.config.yaml_files import load
from src.errors import UserError
from src.runs.again import is_own
from src.runs.folder import RunFolder


def goes_into_itself(config: DictConfig) -> bool:
    """Whether a run goes on in its own folder, or begins there: ``hydra.run.dir`` and ``resume`` name the same."""
    if config.get("resume") is None or not named_by_user(config, "hydra.run.dir"):
        return False
    return is_own(config.resume, Path(str(within(config, lambda: config.hydra.run.dir))))


def settle_resume(config: DictConfig, own: bool) -> None:
    """Says which run ``resume=last`` or ``rerun=last`` means now: a moment later the newest is the one that begins.

    Raises:
        UserError: both are asked for, or there is no such run.
    """
    asked = [key for key in ("resume", "rerun") if config.get(key) is not None]
    if len(asked) == 2:
        raise UserError(f"resume={config.resume} goes on with a run, rerun={config.rerun} begins it again: choose one")
    for key in asked:
        if not own:
            with read_write(config):
                config[key] = str(RunFolder.existing(config[key], key).path)
        _name_by_run(config, config[key])


def _name_by_run(config: DictConfig, run: str) -> None:
    """Takes the name of the run that is resumed or repeated, which conf/'s choices do not tell."""
    try:
        name = str(load(RunFolder(run).config)["name"])
    except Exception:  # whatever is wrong with the folder, the job says
        return
    if re.fullmatch(r"[\w+-][\w.+-]*", name) and not any(
        override.lstrip("+").startswith("name=") for override in config.hydra.overrides.task
    ):
        with read_write(config):
            config.name = name


def named_by_user(config: DictConfig, key: str) -> bool:
    return any(override.startswith(key) for override in config.hydra.overrides.hydra)
