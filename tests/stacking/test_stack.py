"""A stack as a whole: divergence, pruning, memory, interrupted and resumed runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf, open_dict

from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.stacks.stack import Group
from tests.stacking.pairs import SMALL, alone, config, gap, together, variants, weights
from tests.unit.test_events import layout


def test_a_member_that_diverges_changes_no_bit_of_its_neighbours(tmp_path: Path) -> None:
    base = config("trainer.max_epochs=300")
    calm = together(variants(base, *({"optimizer.lr": lr} for lr in (0.01, 0.02, 0.03))), tmp_path / "calm")
    wild = together(variants(base, *({"optimizer.lr": lr} for lr in (0.01, 5.0, 0.03))), tmp_path / "wild")
    for index in (0, 2):
        assert all(
            torch.equal(a, b) for a, b in zip(weights(calm[index]).values(), weights(wild[index]).values(), strict=True)
        )
        assert calm[index].metrics.read_bytes() == wild[index].metrics.read_bytes()
    assert wild[1].read_summary()["status"] == "diverged"


def test_a_diverged_member_says_what_a_lone_run_says(tmp_path: Path) -> None:
    configs = variants(config("trainer.max_epochs=300"), {"optimizer.lr": 5.0}, {"optimizer.lr": 0.01})
    one, other = alone(configs[:1], tmp_path)[0].read_summary(), together(configs, tmp_path)[0].read_summary()
    for key in ("status", "message", "steps", "metrics", "objective", "parameters"):
        assert one[key] == other[key]
    rows = RunFolder(tmp_path / "together" / "0").read_metrics()
    assert len(rows["epoch"]) == other["epochs"] - 1  # the epoch in which it diverged was never closed


@pytest.mark.parametrize("scheduler", ["none", "step", "onecycle", "plateau"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_member_that_leaves_early_keeps_what_a_lone_run_keeps(optimizer: str, scheduler: str, tmp_path: Path) -> None:
    base = config(
        *SMALL,
        "model=mlp",
        "model.hidden=[4]",
        "data.batch_size=10",
        "data.val_fraction=0.25",
        f"optimizer={optimizer}",
        f"scheduler={scheduler}",
        "trainer.max_epochs=9",
    )
    base.scheduler |= {"step": {"step_size": 2}, "plateau": {"patience": 0, "threshold": 0.5}}.get(scheduler, {})
    if optimizer == "sgd":
        base.optimizer.momentum = 0.9
    configs = variants(base, {"seed": 1}, {"seed": 2}, {"seed": 3}, {"seed": 4, "optimizer.lr": 1e30})
    lone = alone(configs, tmp_path, [None, lambda epoch, *_: np.array([epoch == 4]), None, None])
    stacked = together(configs, tmp_path, lambda epoch, members, alive, figures: (members == 1) & (epoch == 4))
    statuses = [folder.read_summary()["status"] for folder in stacked]
    assert statuses == ["completed", "pruned", "completed", "diverged"]
    for one, other in zip(lone[:3], stacked[:3], strict=True):
        assert gap(one, other, "best") < 1e-5
        assert one.read_summary()["epochs"] == other.read_summary()["epochs"]
        assert one.read_metrics()["train/loss"] == pytest.approx(other.read_metrics()["train/loss"], rel=1e-5)
    for one, other in zip(lone, stacked, strict=True):
        first, second = (torch.load(f.checkpoint("last"), weights_only=True) for f in (one, other))
        found = differences(first, second)
        # Lightning's count of executions, which are longer or shorter in a stack
        found -= {f".loops.fit_loop.epoch_loop.{n}" for n in ("batch_progress", "state_dict._batches_that_stepped")}
        if one is lone[3]:  # among overflowing numbers the order of additions decides
            found = {name for name in found if "optimizer_states[0].state." not in name}
        assert not found


def test_who_stays_keeps_its_own_loss_dropout_and_rows_when_the_first_leaves(tmp_path: Path) -> None:
    base = config(*SMALL, "model=mlp", "model.hidden=[6]", "data.batch_size=10", "data.val_fraction=0.25", "loss=huber")
    configs = variants(
        base,
        {"seed": 1, "model.dropout": 0.3},
        {"seed": 2, "model.dropout": 0.1, "loss.delta": 0.2},
        {"seed": 3, "model.dropout": 0.5, "loss._target_": "torch.nn.MSELoss"},
    )
    with open_dict(configs[2]):
        del configs[2].loss["delta"]
    stacked = together(configs, tmp_path, lambda epoch, members, alive, figures: (members == 0) & (epoch == 2))
    for one, other in zip(alone(configs[1:], tmp_path), stacked[1:], strict=True):
        assert gap(one, other) < 1e-5
        assert one.read_metrics()["val/r2"] == pytest.approx(other.read_metrics()["val/r2"], rel=1e-4)


def differences(one: Any, other: Any, name: str = "") -> set[str]:
    """The names under which two checkpoints differ by more than float32's rounding."""
    if isinstance(one, dict) and isinstance(other, dict) and not name.endswith("batch_progress"):
        if set(one) != set(other):
            return {f"{name}: {set(one) ^ set(other)}"}
        return set().union(*(differences(one[key], other[key], f"{name}.{key}") for key in one))
    if isinstance(one, list | tuple):
        if type(one) is not type(other) or len(one) != len(other):
            return {name}
        return set().union(
            *(differences(a, b, f"{name}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
        )
    if isinstance(one, torch.Tensor):
        scale = one.abs().max().nan_to_num(1.0, posinf=1.0).item() if one.numel() else 1.0
        same = one.shape == other.shape and one.dtype == other.dtype
        return set() if same and torch.allclose(one, other, 1e-4, 1e-5 * scale, equal_nan=True) else {name}
    if isinstance(one, float):
        return set() if one == pytest.approx(other, rel=1e-4, nan_ok=True) else {name}
    return set() if type(one) is type(other) and one == other else {name}


def test_out_of_memory_halves_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    whole = Group._train

    def scarce(group: Group, some: list[Any], *rest: Any) -> object:
        sizes.append(len(some))
        if len(some) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(group, some, *rest)

    monkeypatch.setattr(Group, "_train", scarce)
    configs = variants(config(*SMALL, "optimizer.lr=0.01"), *({"seed": seed} for seed in range(5)))
    folders = together(configs, tmp_path)
    assert sizes == [5, 3, 2, 2, 1]
    assert [folder.read_summary()["seed"] for folder in folders] == list(range(5))


def test_members_that_start_alike_do_so_in_each_stack(tmp_path: Path) -> None:
    """One net is the start of all; what the first stack's members came to is put into another."""
    base = config(*SMALL, "model=mlp", "model.hidden=[4]", "optimizer=adam")
    configs = variants(base, *({"optimizer.lr": lr} for lr in (0.01, 0.02, 0.03, 0.04)))
    for one, other in zip(together(configs, tmp_path / "2", width=2), together(configs, tmp_path / "4"), strict=True):
        assert gap(one, other) < 1e-5


@pytest.mark.parametrize("scheduler", ["none", "onecycle", "plateau"])
def test_a_member_resumes_like_a_lone_run(scheduler: str, tmp_path: Path) -> None:
    base = config(
        *SMALL, "model=mlp", "model.hidden=[4]", "optimizer=adam", f"scheduler={scheduler}", "data.batch_size=10"
    )
    if scheduler == "onecycle":
        base.scheduler.total_steps = 100
    configs = variants(base, {"seed": 1}, {"seed": 2, "optimizer.lr": 0.01})
    resumed = []
    for folders in (alone(configs, tmp_path), together(configs, tmp_path)):
        for folder in folders:
            folder.config.parent.mkdir(exist_ok=True)
            folder.config.touch()  # what makes it a run folder
        longer = variants(
            base,
            *(
                {"seed": seed, "optimizer.lr": lr, "resume": str(folder.path), "trainer.max_epochs": 9}
                for (seed, lr), folder in zip(((1, base.optimizer.lr), (2, 0.01)), folders, strict=True)
            ),
        )
        resumed.append(alone(longer, tmp_path / f"resumed{len(resumed)}"))
    for one, other in zip(*resumed, strict=True):
        assert gap(one, other) < 1e-5
        assert len(one.read_metrics()["epoch"]) == len(other.read_metrics()["epoch"]) == 4


def test_every_file_of_a_lone_run_is_there_and_reads_the_same(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    base = config(
        *SMALL,
        "logger=tensorboard",
        "data.val_fraction=0.25",
        "optimizer.lr=0.01",
        "scheduler=step",
        "trainer.max_epochs=30",
        "trainer.check_val_every_n_epoch=2",
        "logger.tensorboard.max_points=7",
    )
    configs = variants(base, {"seed": 1}, {"seed": 2})
    lone, stacked = alone(configs, tmp_path), together(configs, tmp_path)
    for one, other in zip(lone, stacked, strict=True):
        files = [sorted(p.name.split(".")[0] for p in f.path.rglob("*") if p.is_file()) for f in (one, other)]
        assert files[0] == files[1]
        first, second = (EventAccumulator(str(f.path)).Reload() for f in (one, other))
        assert first.Tags()["scalars"] == second.Tags()["scalars"]
        for tag in first.Tags()["scalars"]:
            a, b = ([(e.step, e.value) for e in events.Scalars(tag)] for events in (first, second))
            assert [step for step, _ in a] == [step for step, _ in b], tag
            assert np.allclose([v for _, v in a], [v for _, v in b], rtol=1e-4)
        assert _hparams(first) == _hparams(second)
        charts = [[chart.title for chart in layout(events).category[0].chart] for events in (first, second)]
        assert charts == [["mse by split", "intercept"]] * 2


def _hparams(events: Any) -> dict[str, str]:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: str(value) for name, value in hparams.items()}


def test_evaluate_reads_a_member(tmp_path: Path) -> None:
    configs = variants(config(*SMALL, "optimizer.lr=0.01"), {"seed": 1}, {"seed": 2})
    folder = together(configs, tmp_path)[1]
    folder.config.parent.mkdir(exist_ok=True)
    OmegaConf.save(configs[1], folder.config)
    OmegaConf.save({"hydra": {"runtime": {"cwd": str(tmp_path)}}}, folder.hydra)
    metrics = evaluate(str(folder.path), "best")
    assert metrics == pytest.approx(folder.read_summary()["metrics"], rel=1e-6)
