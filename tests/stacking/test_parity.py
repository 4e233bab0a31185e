"""A member's numbers are those of a lone run: every optimizer, schedule, activation, loss and option."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import open_dict

from src.models.mlp import ACTIVATIONS
from tests.stacking.pairs import SMALL, alone, config, gap, together, variants

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "sgd": [{"optimizer.momentum": 0.9, "optimizer.weight_decay": 0.01}, {"optimizer.lr": 0.01}],
    "adam": [{"optimizer.lr": 0.01, "optimizer.betas": [0.8, 0.99]}, {"optimizer.eps": 1e-6}],
    "adamw": [{"optimizer.lr": 0.01, "optimizer.weight_decay": 0.1}, {"seed": 3}],
    "rmsprop": [{"optimizer.alpha": 0.9, "optimizer.momentum": 0.5}, {"optimizer.lr": 0.01}],
}
SCHEDULERS: dict[str, list[str]] = {
    "none": [],
    "step": ["scheduler.step_size=2"],
    "cosine": ["scheduler.interval=step"],
    "plateau": ["scheduler.patience=0", "scheduler.threshold=0.5"],
    "onecycle": [],
}


PAIRS = list(itertools.product(OPTIMIZERS, SCHEDULERS))


def one_member(optimizer: str, scheduler: str, activation: str, precision: str, root: Path) -> tuple[Any, Any]:
    """The same run alone and as one of two."""
    base = config(
        *SMALL,
        "model=mlp",
        "model.hidden=[5,4]",
        "data.batch_size=10",
        f"trainer.precision={precision}",
        f"optimizer={optimizer}",
        f"scheduler={scheduler}",
        *SCHEDULERS[scheduler],
        "trainer.max_epochs=3",
    )
    configs = variants(base, *(change | {"model.activation": activation} for change in OPTIMIZERS[optimizer]))
    which = list(ACTIVATIONS).index(activation) % len(configs)  # a lone run of each member would double the time
    [one] = alone([configs[which]], root / activation)
    return one, together(configs, root / activation)[which]


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_every_activation_equals_lone_runs_in_float64(optimizer: str, scheduler: str, tmp_path: Path) -> None:
    for activation in ACTIVATIONS:
        one, other = one_member(optimizer, scheduler, activation, "64-true", tmp_path)
        assert gap(one, other) < 1e-12, activation
        assert _rows_agree(one.read_metrics(), other.read_metrics(), 1e-10)


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_activations_in_turn_equal_lone_runs_in_float32(optimizer: str, scheduler: str, tmp_path: Path) -> None:
    # Two of eight for each pair: every optimizer meets every activation; what float64 shows need not be shown twice.
    turn = 2 * PAIRS.index((optimizer, scheduler))
    for number in (turn, turn + 1):
        activation = list(ACTIVATIONS)[number % len(ACTIVATIONS)]
        one, other = one_member(optimizer, scheduler, activation, "32-true", tmp_path)
        assert gap(one, other) < 1e-5, activation
        assert _rows_agree(one.read_metrics(), other.read_metrics(), 2e-5)


@pytest.mark.parametrize(
    "options",
    [
        ["model=mlp", "model.hidden=[8]", "data.batch_size=10", "model.dropout=0.2"],
        ["model=mlp", "model.hidden=[6,6]", "data.val_fraction=0.3", "data.test_fraction=0.2", "optimizer=adam"],
        ["model=mlp", "model.hidden=[6]", "trainer.gradient_clip_val=0.1"],
        ["model=mlp", "model.hidden=[6]", "trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"],
        ["model=mlp", "model.hidden=[6]", "optimizer=adam", "optimizer.amsgrad=true"],
        ["model=mlp", "model.hidden=[6]", "optimizer=rmsprop", "optimizer.centered=true"],
        ["model=mlp", "model.hidden=[6]", "optimizer.momentum=0.9", "optimizer.nesterov=true"],
        ["model=linear", "data.batch_size=7", "optimizer.lr=0.001"],
        ["model=linear", "data.batch_size=7", "optimizer.lr=0.001", "data.shuffle=false", "data.standardize=true"],
        ["model=scratch", "optimizer.lr=0.001", "model.gradient=analytic"],
        ["model=scratch", "optimizer.lr=0.001", "data.val_fraction=0.25", "trainer.check_val_every_n_epoch=2"],
        ["model=linear", "data.n_features=1", "data.standardize=true", "scheduler=plateau", "scheduler.patience=0"],
    ],
    ids=lambda options: " ".join(options[:3]),
)
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_options_equal_lone_runs(options: list[str], precision: str, tmp_path: Path) -> None:
    base = config(*SMALL, f"trainer.precision={precision}", *options)
    changes: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1, "optimizer.lr": base.optimizer.lr / 2}, {"seed": 2}]
    if base.model.get("dropout"):
        changes[1]["model.dropout"] = 0.4
    configs = variants(base, *changes)
    for one, other in zip(alone(configs, tmp_path), together(configs, tmp_path), strict=True):
        for name in ("last", "best"):
            assert gap(one, other, name) < (1e-12 if precision == "64-true" else 1e-5)
        first, second = one.read_summary(), other.read_summary()
        assert list(first["metrics"]) == list(second["metrics"])
        assert first["metrics"] == pytest.approx(second["metrics"], rel=1e-5, abs=1e-6)
        for key in ("status", "epochs", "steps", "seed", "best_epoch", "data", "reference"):
            assert first.get(key) == second.get(key)
        assert first["parameters"] == pytest.approx(second["parameters"], rel=1e-5)
        assert list(one.read_metrics()) == list(other.read_metrics())
        assert _rows_agree(one.read_metrics(), other.read_metrics(), 2e-5)


def test_losses_initial_values_and_schedules_may_differ_between_members(tmp_path: Path) -> None:
    base = config(*SMALL, "optimizer.lr=0.01", "scheduler=step", "loss=huber")
    configs = variants(
        base,
        {"loss.delta": 0.5, "scheduler.step_size": 1},
        {"loss": {"_target_": "torch.nn.L1Loss"}, "scheduler.gamma": 0.1, "scheduler.step_size": 2},
        {"loss": {"_target_": "torch.nn.MSELoss"}, "model.init.weight": 1.5, "model.init.bias": -2.0},
    )
    for cfg in configs[1:]:
        with open_dict(cfg):
            del cfg.loss["delta"]
    for one, other in zip(alone(configs, tmp_path), together(configs, tmp_path), strict=True):
        assert gap(one, other) < 1e-5


def _rows_agree(one: dict[str, list[float]], other: dict[str, list[float]], rtol: float) -> bool:
    return list(one) == list(other) and all(np.allclose(one[n], other[n], rtol, 1e-7, True) for n in one)
