"""study.new=true."""

from pathlib import Path

import optuna
from omegaconf import OmegaConf

from src.reports.sweep_folder import read
from src.sweeping.archive import archive
from src.sweeping.pruning import SWEEPER
from src.sweeping.storage import forget, location, open_storage


def test_what_was_moved_aside_can_still_be_reported_on(storage: str | None, tmp_path: Path) -> None:
    folder, name = tmp_path / "sweep", tmp_path.name
    where = location(storage, folder)
    sweeper = {"_target_": SWEEPER, "storage": storage, "study_name": name, "direction": "minimize"}
    for value in (1.0, 2.0):
        (folder / "0").mkdir(parents=True)
        OmegaConf.save({"hydra": {"sweeper": sweeper}}, folder / "multirun.yaml")
        study = optuna.create_study(study_name=name, storage=open_storage(where))  # refuses a name that is taken
        study.add_trial(optuna.create_trial(value=value, user_attrs={"folder": "0"}))
        archive(folder, where, name)
    assert not folder.exists()
    forget()
    for number, value in ((1, 1.0), (2, 2.0)):
        found = read(tmp_path / f"sweep-before-{number}", storage)
        assert [row.values for row in found.rows] == [[value]]
