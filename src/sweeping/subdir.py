"""``hydra.sweep.subdir``: the pattern of the folder that each job of a sweep has within the sweep's."""

from collections.abc import Sequence
from pathlib import Path

from src.errors import UserError


def check_subdir(pattern: str, folders: Sequence[str]) -> None:
    """Holds the pattern against its purpose.

    Args:
        pattern: as it is written.
        folders: what it comes to for some jobs.

    Raises:
        UserError: two of them would share a folder, or one has it elsewhere.
    """
    if any(Path(folder).is_absolute() or ".." in Path(folder).parts for folder in folders):
        raise UserError(f"hydra.sweep.subdir={pattern} leads out of the sweep's folder")
    if len({Path(folder) for folder in folders}) < len(folders):
        raise UserError(f"hydra.sweep.subdir={pattern} gives two jobs one folder: put ${{hydra.job.num}} into it")
