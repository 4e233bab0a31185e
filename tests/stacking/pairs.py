"""The same jobs twice: one by one through ``src.runs.fit``, and as one stack."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from src.config import build
from src.config.check import check, settle
from src.config.values import Values, container, flatten
from src.data.encoder import Shape
from src.runs.fit import fit
from src.runs.folder import RunFolder
from src.stacks.grouping import structure, why_alone
from src.stacks.job import Job
from src.stacks.members import write
from src.stacks.nets import nets_of
from src.stacks.stack import Group

CONF = str(Path(__file__).parents[2] / "conf")
SMALL = ["data=synthetic", "data.n_samples=24", "data.n_features=3", "data.n_informative=3", "trainer.max_epochs=5"]


def config(*overrides: str) -> DictConfig:
    """A resolved training configuration without a logger."""
    return _composed(*overrides).copy()


@cache
def _composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF):
        cfg = compose("train", ["logger=none", "name=test", *overrides])
    OmegaConf.resolve(cfg)
    settle(cfg)
    check(cfg)
    return cfg


def variants(cfg: DictConfig, *changes: dict[str, Any]) -> list[DictConfig]:
    """Copies of a configuration with values changed."""
    found = []
    for change in changes:
        copy = cfg.copy()
        with open_dict(copy):
            for key, value in change.items():
                OmegaConf.update(copy, key, value)
        found.append(copy)
    return found


def alone(configs: Sequence[DictConfig], root: Path, pruners: Sequence[Any] = ()) -> list[RunFolder]:
    """Trains each by itself."""
    folders = []
    for number, cfg in enumerate(configs):
        folder = RunFolder(root / "alone" / str(number))
        folder.path.mkdir(parents=True)
        fit(cfg, build.table(cfg), folder, "", [], False, pruners[number] if pruners else None)
        folders.append(folder)
    return folders


def together(configs: Sequence[DictConfig], root: Path, pruner: Any = None, width: int = 1000) -> list[RunFolder]:
    """Trains all as one stack."""
    values = [Values.of(container(cfg)) for cfg in configs]
    flats = [flatten(each) for each in values]
    assert [why_alone(flat, each) for flat, each in zip(flats, values, strict=True)] == [None] * len(flats)
    assert len({structure(flat) for flat in flats}) == 1
    jobs = [Job(number, cfg, RunFolder(root / "together" / str(number)), []) for number, cfg in enumerate(values)]
    watch = (lambda jobs: pruner) if pruner else None
    rows = build.table(configs[0])
    group = Group(rows, jobs, nets_of(Shape.of(rows.columns), jobs))
    for trained in group.train(width, None, watch):
        for _ in write(trained, lambda job: {}):
            pass
    return [job.folder for job in jobs]


def weights(folder: RunFolder, name: str = "last") -> dict[str, torch.Tensor]:
    """A checkpoint's weights."""
    return torch.load(folder.checkpoint(name), weights_only=True)["state_dict"]


def gap(one: RunFolder, other: RunFolder, name: str = "last") -> float:
    """The largest difference of two runs' weights, relative to the largest weight of each tensor."""
    first, second = weights(one, name), weights(other, name)
    assert list(first) == list(second)
    assert all(first[key].shape == second[key].shape and first[key].dtype == second[key].dtype for key in first)
    gaps = [((first[key] - second[key]).abs().max() / first[key].abs().max()).item() for key in first]
    return max(gaps)
