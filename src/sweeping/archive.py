"""study.new=true: what the sweep left so far moves out of the way, and nothing of it is lost."""

from itertools import count
from pathlib import Path

from omegaconf import OmegaConf

from src.sweeping.storage import explained, forget, open_storage


def archive(folder: Path, where: str, name: str) -> None:
    """Renames a sweep folder, and its study where that is not kept within, to the first free NAME-before-N.

    Raises:
        UserError: the storage cannot be used.
        OSError: the folder cannot be renamed.
    """
    import optuna

    studies: list[str] = []
    if not Path(where).is_relative_to(folder.absolute()):
        with explained(where):
            studies = optuna.get_all_study_names(open_storage(where))
    for number in count(1):
        target, other = folder.with_name(f"{folder.name}-before-{number}"), f"{name}-before-{number}"
        if not target.exists() and other not in studies:
            break
    if folder.exists():
        folder.rename(target)
        forget()
    if name in studies:
        storage = open_storage(where)
        with explained(where):  # Optuna cannot rename a study
            optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=storage, to_study_name=other)
            optuna.delete_study(study_name=name, storage=storage)
        _refer(target / "multirun.yaml", other)


def _refer(file: Path, name: str) -> None:
    """Tells the folder its study's new name, so that a report on it still finds it."""
    if file.is_file():
        config = OmegaConf.load(file)
        OmegaConf.update(config, "hydra.sweeper.study_name", name)
        OmegaConf.save(config, file)
