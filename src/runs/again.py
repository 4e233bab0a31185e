"""Going on in a run's own folder, ``hydra.run.dir=DIR resume=DIR``: what Hydra may write there, and what it was asked.

The same command starts a run and goes on with it, however often it was killed in between.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.values import container, flatten, unresolved
from src.config.yaml_files import dump, masked_yaml
from src.errors import UserError
from src.runs.files import write_text
from src.runs.folder import RunFolder


def is_own(resume: Any, folder: Path) -> bool:
    """Whether ``resume`` names the folder into which the run goes itself."""
    return resume is not None and Path(str(resume)).resolve() == folder.resolve()


def is_written(folder: RunFolder, overrides: Sequence[str]) -> bool:
    """Whether the folder says all that the run is; where nothing was begun the command has to say it again.

    Args:
        folder: the run's.
        overrides: of the command line.

    Raises:
        UserError: the run was ended before its configuration was written, and the command does not have all of it.
    """
    if folder.begun():
        return True
    try:
        values = flatten(unresolved(OmegaConf.load(folder.config)))
    except Exception:  # missing, or torn by the kill
        values = {}
    whole = "model._target_" in values and folder.hydra.with_name("overrides.yaml").is_file()  # which is written last
    if whole and not any("${" in str(value) for value in values.values()):  # a run resolves what it saves
        return True
    before = said(folder)
    if missing := [each for each in before if each not in stripped(overrides)]:
        command = shlex.join(["python", "-m", "src.train", *before])
        raise UserError(
            f"resume={folder.path}: was ended before its configuration was written, expected {shlex.join(missing)} "
            f"again: {command} hydra.run.dir={folder.path} resume={folder.path}"
        )
    return False


def stripped(overrides: Sequence[str]) -> list[str]:
    """Overrides as they were typed, without ``resume``; see ``unbound`` in src.train."""
    return [each.removeprefix("++") for each in overrides if not each.startswith("resume=")]


def said(folder: RunFolder, strip: bool = True) -> list[str]:
    """The overrides that a run was asked for by, for ``strip`` see ``stripped``; [] where that is not known."""
    try:
        found = OmegaConf.to_container(OmegaConf.load(folder.hydra.with_name("overrides.yaml")))
    except Exception:  # missing, or torn by a kill
        return []
    texts = [str(each) for each in found] if isinstance(found, list) else []
    return stripped(texts) if strip else texts


def asked(folder: RunFolder, overrides: Sequence[str]) -> list[str]:
    """What the run was asked for, and what is asked of it now."""
    before = said(folder)
    return [*before, *(each for each in stripped(overrides) if each not in before)]


def note(folder: RunFolder, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Writes what the run is asked for from now on; nothing where that is what it was asked for all along."""
    before = flatten(container(OmegaConf.load(folder.config)))
    now = flatten(container(cfg))
    if {key: value for key, value in now.items() if before.get(key) != value and key != "data.path"}:
        write_text(folder.config, masked_yaml(OmegaConf.to_yaml(cfg)), durable=True)
    note_overrides(folder, overrides)


def note_overrides(folder: RunFolder, overrides: Sequence[str]) -> None:
    """Writes what the run is asked for by, as it would be asked for in a folder of its own."""
    if list(overrides) != said(folder, strip=False):
        write_text(folder.hydra.with_name("overrides.yaml"), masked_yaml(dump(list(overrides))), durable=True)
