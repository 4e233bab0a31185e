"""What a stacked member leaves behind is its own: files, epochs that count, and settings to go on with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, open_dict

from src.runs.folder import RunFolder
from tests.faults.parity import run_differences
from tests.stacking.pairs import SMALL, alone, config, gap, together, variants

MLP = (*SMALL, "model=mlp", "model.hidden=[4]", "data.batch_size=10", "trainer.precision=64-true")
OWN: dict[str, list[dict[str, Any]]] = {
    "adamw": [
        {"optimizer.weight_decay": 0.1, "optimizer.eps": 1e-4},
        {"optimizer.lr": 0.004, "optimizer.weight_decay": 0.3, "optimizer.betas": [0.7, 0.9], "optimizer.eps": 1e-3},
    ],
    "rmsprop": [
        {"optimizer.alpha": 0.8, "optimizer.eps": 1e-4},
        {"optimizer.alpha": 0.95, "optimizer.eps": 1e-3, "optimizer.weight_decay": 0.2, "optimizer.lr": 0.004},
    ],
}
SCHEDULERS: dict[str, list[str]] = {
    "none": [],
    "step": ["scheduler.step_size=2"],
    "cosine": ["scheduler.T_max=20"],
    "onecycle": ["scheduler.total_steps=100"],
    "plateau": ["scheduler.patience=0", "scheduler.threshold=0.5"],
}


def names(folder: RunFolder) -> list[str]:
    """Its files, by path; an event file's own name holds the time."""
    paths = [path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()]
    return sorted("events" if path.startswith("events.out") else path for path in paths)


def test_who_diverges_in_the_first_epoch_leaves_the_same_files(tmp_path: Path) -> None:
    base = config(*SMALL, "data.batch_size=6")
    with open_dict(base):
        base.logger = {"tensorboard": {"_target_": "src.training.tensorboard.TensorBoard", "max_points": 1000}}
    configs = variants(base, *({"optimizer.lr": lr} for lr in (1e30, 0.01, 1e35)))
    lone, stacked = alone(configs, tmp_path), together(configs, tmp_path)
    for one, other in zip(lone, stacked, strict=True):
        assert names(one) == names(other)
    first = stacked[0]
    assert (first.read_summary()["status"], first.read_summary()["epochs"]) == ("diverged", 1)
    assert "metrics.csv" not in names(first)
    assert "metrics.csv" in names(stacked[1])


@pytest.mark.parametrize("agree", [True, False])
def test_plateau_counts_the_epochs_that_have_a_figure(agree: bool, tmp_path: Path) -> None:
    """Every second one, alone and stacked; the others are no epochs without improvement."""
    base = config(
        *(*MLP, "data.val_fraction=0.25", "trainer.check_val_every_n_epoch=2", "scheduler=plateau"),
        *("scheduler.patience=1", "scheduler.threshold=0.9", "trainer.max_epochs=12", "optimizer.lr=0.01"),
    )
    configs = variants(base, {"seed": 1}, {"seed": 2} if agree else {"seed": 2, "scheduler.factor": 0.1})
    for one, other in zip(alone(configs, tmp_path), together(configs, tmp_path), strict=True):
        assert run_differences(one, other, "64-true") == []
        state = torch.load(other.checkpoint("last"), weights_only=True)["lr_schedulers"][0]
        assert state["last_epoch"] == 6
        rates = other.read_metrics()["lr"]
        falls = [place for place in range(1, 12) if rates[place] < rates[place - 1]]
        assert falls, "the test shows nothing"
        assert all(place % 2 == 0 for place in falls), "lr fell after an epoch without a figure"


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("optimizer", OWN)
def test_a_member_goes_on_with_its_own_settings(optimizer: str, scheduler: str, tmp_path: Path) -> None:
    """last.ckpt has its weight_decay, eps, alpha and betas; resumed alone it trains on as the lone run does."""
    base = config(*MLP, f"optimizer={optimizer}", f"scheduler={scheduler}", *SCHEDULERS[scheduler])
    configs = variants(base, *OWN[optimizer])
    lone, stacked = alone(configs, tmp_path), together(configs, tmp_path)
    for change, one, other in zip(OWN[optimizer], lone, stacked, strict=True):
        assert run_differences(one, other, "64-true") == []
        [group] = torch.load(other.checkpoint("last"), weights_only=True)["optimizer_states"][0]["param_groups"]
        for name, value in change.items():
            key = name.rpartition(".")[2]
            if key == "betas" and scheduler == "onecycle":  # which cycles the first
                assert group[key][1] == value[1]
            elif key != "lr":
                assert list(group[key]) == value if key == "betas" else group[key] == value
    ends = [resumed(configs, folders, tmp_path / str(n)) for n, folders in enumerate((lone, stacked))]
    for one, other in zip(*ends, strict=True):
        assert gap(one, other) < 1e-12
        assert one.read_metrics().keys() == other.read_metrics().keys()
        assert len(one.read_metrics()["epoch"]) == len(other.read_metrics()["epoch"]) == 4


def test_a_member_of_other_shape_goes_on_with_its_best_weights_and_its_patience(tmp_path: Path) -> None:
    """A chain's rows are padded in its stack, and early stopping remembers how long it has waited."""
    base = config(*MLP, "data.val_fraction=0.25", "callbacks=early_stopping", "optimizer.lr=0.01")
    base.callbacks.early_stopping |= {"min_delta": 1e9, "patience": 7}  # no epoch after the first is an improvement
    configs = variants(base, {"seed": 1}, {"model.hidden": [6, 5]})
    lone, stacked = alone(configs, tmp_path), together(configs, tmp_path)
    for one, other in zip(lone, stacked, strict=True):
        assert run_differences(one, other, "64-true") == []
        assert "EarlyStopping" in torch.load(other.checkpoint("last"), weights_only=True)["callbacks"]
    ends = [resumed(configs, folders, tmp_path / str(n)) for n, folders in enumerate((lone, stacked))]
    for one, other in zip(*ends, strict=True):
        assert one.read_summary()["status"] == other.read_summary()["status"] == "stopped early"
        assert one.read_summary()["epochs"] == other.read_summary()["epochs"] == 8
        assert gap(one, other, "best") < 1e-12


def resumed(configs: list[DictConfig], folders: list[RunFolder], root: Path) -> list[RunFolder]:
    """Each run's last checkpoint trained on alone, four epochs more."""
    for folder in folders:
        folder.config.parent.mkdir(exist_ok=True)
        folder.config.touch()  # what makes it a run folder
    changes = [{"resume": str(folder.path), "trainer.max_epochs": 9} for folder in folders]
    longer = [variants(cfg, change)[0] for cfg, change in zip(configs, changes, strict=True)]
    return alone(longer, root)
