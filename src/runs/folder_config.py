"""The configuration of a run folder, which is somebody else's: read as data, checked before anything of it is built."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.check import check_values
from src.config.kinds import check_folder
from src.config.values import flatten, unresolved
from src.config.yaml_files import load
from src.errors import UserError, first_line, printable
from src.runs.folder import TABLES, RunFolder

_GROUPS = ("model", "loss", "optimizer", "scheduler", "data", "trainer", "checks")
_OPTIONAL = ("callbacks", "logger")


def load_config(
    folder: RunFolder,
    groups: Sequence[str] = ("model", "loss", "data"),
    trust: Collection[str] = (),
    key: str = "run",
) -> DictConfig:
    """The run's resolved configuration; a relative data path is read from where the run was started.

    A folder is data: what these groups may construct is on a closed list, and is checked here, before anything
    that it names is imported. Whoever builds other groups of it has to name them.

    Args:
        folder: the run's.
        groups: what is going to be built.
        trust: packages of the user's own whose classes the folder may name.
        key: what the folder was named by.

    Raises:
        UserError: the file is not the configuration of a run, or names what a folder may not.
    """
    said = f"{key}={folder.path}"
    cfg, started_in = _read(folder, said)
    try:
        check_folder(cfg, groups, trust)
        _refuse_interpolations(cfg)
        check_values(cfg)
    except UserError as error:
        raise UserError(f"{said}: {error}") from None
    if not folder.is_as_written(folder.config):
        said = f"note: {folder.config} is not as the run left it; what follows is by what stands there"
        print(printable(said), file=sys.stderr)
    if "path" in cfg.data:
        with open_dict(cfg):
            cfg.data.path = str(_rows_of(folder, started_in / Path(str(cfg.data.path)).expanduser()))
    return cfg


def _read(folder: RunFolder, said: str) -> tuple[DictConfig, Path]:
    """A run's configuration as it stands in its folder, and where the run was started; nothing in it is resolved.

    Raises:
        UserError: as ``load_config``, which ``said`` begins.
    """
    try:
        values, hydra = load(folder.config), load(folder.hydra)
        if "${" in (cwd := str(hydra["hydra"]["runtime"]["cwd"])):
            raise ValueError(f"hydra.runtime.cwd: expected a folder, found the interpolation {cwd!r}")
        started_in = Path(cwd).expanduser()
        cfg = OmegaConf.create(values)
    except Exception as error:
        raise UserError(f"{said}: .hydra cannot be read ({first_line(error)})") from None
    if not isinstance(values, dict) or "model" not in values or "data" not in values:
        raise UserError(f"{said}: .hydra/config.yaml is not the configuration of a run")
    nodes = {name: values.get(name, {}) for name in _GROUPS} | {name: values.get(name) or {} for name in _OPTIONAL}
    if odd := next((name for name, node in nodes.items() if not isinstance(node, dict)), None):
        raise UserError(f"{said}: {odd}: expected its keys and their values, found {values[odd]!r}")
    return cfg, started_in


def _refuse_interpolations(cfg: DictConfig) -> None:
    """A run resolves what it saves; here, what it would read is this process's, its environment say."""
    for key, value in flatten(unresolved(cfg)).items():
        if "${" in str(value):
            raise UserError(f"{key}: expected a value, found the interpolation {value!r}")


def _rows_of(folder: RunFolder, path: Path) -> Path:
    """Where a run's rows are: a table that lies in its folder, or its sweep's, went with it wherever that went."""
    if path.match(TABLES) and not path.is_file():
        around = [parent / path.name for parent in (folder.path, *folder.path.absolute().parents[:2])]
        return next((each for each in around if each.is_file()), path)
    return path
