"""A stack takes any net: layers swapped, vmap, chains, or alone with the reason; its members are lone runs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, open_dict

from src.stacks.stack import Group
from src.training.equal_stack import EqualStack
from src.training.padded_stack import PaddedStack
from src.training.stack import Alone
from tests.faults.parity import LIBRARY, run_differences
from tests.stacking.library.mynets import layers
from tests.stacking.pairs import alone, config, together, variants

BASE = ("data=synthetic", "data.n_samples=26", "data.n_features=3", "data.n_informative=3", "model=mlp")
BATCHES = ("data.val_fraction=0.25", "data.batch_size=8", "trainer.max_epochs=10")
SEEDS = [{"seed": 1}, {"seed": 2}, {"seed": 3}]
AGREEING = ("optimizer=adamw", "optimizer.lr=0.01", "optimizer.eps=1e-4")
RATES = [
    {"seed": 1, "optimizer.lr": 0.01},
    {"seed": 2, "optimizer.lr": 0.003},
    {"seed": 1, "optimizer.weight_decay": 0.2},
]

SWAPPED = {
    "Residual": {},
    "Residual with dropout": {"dropout": 0.3},
    "Normed": {},
    "Bins": {},
    "Twice": {},
    "Tied": {},
    "Frozen": {},
}
MAPPED = {"Bins": {"flat": True}, "Squares": {}, "Counting": {}, "Own": {}, "Scaled": {}, "Strict": {}}
ALONE = {
    "Branch": "its net decides by values in Python",
    "BranchLater": "its net decides by values in Python",
    "Drops": "its net draws random numbers of its own",
    "Replacing": "its forward does not change its buffers in place",
    "Averaged": "its net decides by values in Python",
    "Idle": "spare.weight takes no part in its forward",
}


@pytest.fixture(autouse=True)
def forms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nets are importable by the name that a configuration gives them; which form each stack takes is noted."""
    monkeypatch.syspath_prepend(LIBRARY)
    found: list[str] = []
    whole = Group._train

    def noted(*arguments: Any) -> Any:
        trained = whole(*arguments)
        stack = trained.module.stack
        found.append("chains" if isinstance(stack, PaddedStack) else "vmap" if stack.mapped else "swapped")
        return trained

    monkeypatch.setattr(Group, "_train", noted)
    return found


def own(cfg: DictConfig, model: dict[str, Any]) -> DictConfig:
    """A configuration with another model."""
    found = cfg.copy()
    with open_dict(found):
        found.model = {"standardize": True} | model
    return found


def net(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``model`` of a net in mynets."""
    return {"_target_": f"mynets.{name.split()[0]}"} | options


def assert_equal(configs: list[DictConfig], root: Path) -> None:
    """Members are lone runs: figures, best epochs and whole checkpoints."""
    precision = str(configs[0].trainer.precision)
    for place, (one, other) in enumerate(zip(alone(configs, root), together(configs, root), strict=True)):
        assert run_differences(one, other, precision) == [], f"member {place}"


@pytest.mark.parametrize("precision", ["64-true", "32-true"])
@pytest.mark.parametrize(("name", "options"), [*SWAPPED.items(), *MAPPED.items()], ids=str)
def test_seeds_and_learning_rates(
    name: str, options: dict[str, Any], precision: str, tmp_path: Path, forms: list[str]
) -> None:
    """Torch's own optimizer over the matrix where members agree, rules where they differ."""
    base = own(config(*BASE, *BATCHES, *AGREEING, f"trainer.precision={precision}"), net(name, options))
    kinds = (SEEDS, RATES) if precision == "64-true" else (RATES[:2],)
    for number, changes in enumerate(kinds):
        assert_equal(variants(base, *changes), tmp_path / str(number))
    assert forms == ["swapped" if options == SWAPPED.get(name) else "vmap"] * len(kinds)


@pytest.mark.parametrize(("name", "options"), [*SWAPPED.items(), *MAPPED.items()], ids=str)
def test_whole_epochs_without_validation(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """One step an epoch; a schedule of torch's own."""
    overrides = ("trainer.precision=64-true", "trainer.max_epochs=30", "scheduler=onecycle", "data.standardize=false")
    assert_equal(variants(own(config(*BASE, *AGREEING, *overrides), net(name, options)), *SEEDS[:2]), tmp_path)


@pytest.mark.parametrize(("name", "reason"), ALONE.items())
def test_what_no_member_axis_can_follow_trains_alone(name: str, reason: str, tmp_path: Path) -> None:
    """The reason is what the launcher's log says."""
    with pytest.raises(Alone, match=reason):
        together(variants(own(config(*BASE, *BATCHES), net(name, {})), *SEEDS), tmp_path)


@pytest.mark.parametrize("optimizer", ["Adagrad", "NAdam", "Adadelta"])
def test_seeds_under_optimizers_without_a_rule(optimizer: str, tmp_path: Path) -> None:
    base = own(config(*BASE, *BATCHES, "trainer.precision=64-true"), net("Residual", {"dropout": 0.2}))
    with open_dict(base):
        base.optimizer = {"_target_": f"torch.optim.{optimizer}", "_partial_": True, "lr": 0.01, "weight_decay": 0.01}
    assert_equal(variants(base, *SEEDS), tmp_path)


def test_layers_written_in_yaml(tmp_path: Path, forms: list[str]) -> None:
    """nn.Sequential with LayerNorm inside is no chain; every layer of it is known."""
    base = own(
        config(*BASE, *BATCHES, *AGREEING, "trainer.precision=64-true"),
        {"_target_": "torch.nn.Sequential", "_args_": layers(3, 6, 4)},
    )
    assert_equal(variants(base, *SEEDS), tmp_path)
    assert forms == ["swapped"]


CHAINS: list[list[dict[str, Any]]] = [
    [{"model.hidden": [5, 4]}, {"model.hidden": [8], "model.activation": "tanh"}, {"model.hidden": [3, 3, 3]}],
    [{"data.batch_size": 8}, {"data.batch_size": 11, "model.dropout": 0.4}, {"data.batch_size": 15, "seed": 4}],
    [{"trainer.max_epochs": 4}, {"trainer.max_epochs": 7, "model.hidden": [6]}, {"seed": 5}],
    [{f"callbacks.early_stopping.{n}": v} for n, v in (("patience", 1), ("patience", 3), ("min_delta", 1e9))],
]


@pytest.mark.parametrize("changes", CHAINS, ids=["shapes", "batches", "epochs", "patience"])
@pytest.mark.parametrize("scheduler", ["none", "onecycle", "plateau"])
def test_chains(scheduler: str, changes: list[dict[str, Any]], tmp_path: Path, forms: list[str]) -> None:
    """Members of an MLP may differ in shape, batch size, length and patience."""
    overrides = ("model.hidden=[5]", "model.dropout=0.1", "callbacks=early_stopping", f"scheduler={scheduler}")
    base = config(*BASE, *BATCHES, *AGREEING, *overrides, "trainer.precision=64-true")
    base.callbacks.early_stopping.patience = 6
    if scheduler == "plateau":
        base.scheduler.patience = 1
    if scheduler == "onecycle" and "data.batch_size" in changes[0]:
        base.scheduler.interval = "epoch"  # counted in steps, members would be at different points of it
    assert_equal(variants(base, *changes), tmp_path)
    assert set(forms) <= {"chains", "swapped"}


SIZES = ({"data.batch_size": 8}, {"data.batch_size": 12})


def test_batches_of_other_sizes_are_for_nets_that_take_rows_alone(tmp_path: Path, forms: list[str]) -> None:
    """The smaller are filled up: LayerNorm does not notice, and BatchNorm would see those rows."""
    normed = own(config(*BASE, *BATCHES), net("Normed", {}))
    with pytest.raises(Alone, match="its net is no chain of linear layers"):
        together(variants(normed, *SIZES), tmp_path)
    model = {"_target_": "torch.nn.Sequential", "_args_": layers(3, 4)}
    assert_equal(
        variants(own(config(*BASE, *BATCHES, *AGREEING, "trainer.precision=64-true"), model), *SIZES), tmp_path
    )
    assert forms == ["swapped"]


def test_one_net_in_two_forms_comes_to_the_same(tmp_path: Path) -> None:
    """What vmap does for a net that layers with a member axis serve as well."""
    nets = [torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 1)) for _ in range(3)]
    features = torch.randn(7, 3)
    swapped, mapped = (EqualStack(nets, range(3), each).forward(features) for each in (False, True))
    assert torch.allclose(swapped, mapped, atol=1e-6)
