"""RealMLP: how it starts, at which rates its parts learn, and that every door knows it."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from src.config.check import settle
from src.exporting.export import export
from src.models.realmlp import RealMLP, start
from src.runs.evaluate import evaluate
from src.runs.predict import predict
from src.training.checkpoints import Writer
from src.training.coslog4 import CosLog4, flat_cos
from tests.compose import composed, trained
from tests.exporting.rows import altered, by_onnx, varied
from tests.resume.test_resume import assert_same_run, group
from tests.stacking.pairs import SMALL, alone, config, gap, together, variants

NARROW = ("model=realmlp", "model.hidden=[8,8]", "trainer.max_epochs=6", "logger=none")
NOISY = (*SMALL, *NARROW, "data.batch_size=6", "data.val_fraction=0.25")


def started(dropout: float = 0.0) -> tuple[RealMLP, torch.Tensor]:
    torch.manual_seed(0)
    net, rows = RealMLP(3, [64, 64], "mish", dropout), torch.randn(200, 3)
    start(nn.Sequential(nn.Identity(), net), rows, [(-1.0, 0.5)], seed=0)
    return net, rows


def test_every_unit_starts_with_deviation_1_and_bends_among_the_rows() -> None:
    """Before its bias, which is the opposite of a mean of a few rows' outputs."""
    net, values = started()
    for layer in net.layers:
        found = layer(values)
        if hasattr(layer, "origin"):
            assert torch.allclose(found.std(0, correction=0), torch.ones(found.shape[1]), atol=1e-4)
            bare = found - layer.origin
            assert ((-layer.origin > bare.min(0).values) & (-layer.origin < bare.max(0).values)).all()
            assert len(layer.origin.unique()) == layer.origin.numel(), "units bend at places of their own"
        values = found


def test_predictions_keep_to_the_targets_range() -> None:
    """Evaluated; while training a bound would leave no gradient."""
    net, rows = started()
    found = net(rows)
    assert found.min() < -1 < 0.5 < found.max()
    clamped = net.eval()(rows)
    assert torch.equal(clamped, found.clamp(-1.0, 0.5))
    net = RealMLP(3, [4], "relu", 0.0, outputs=2, targets=2)
    net.start(rows, [(-1.0, 0.5), (2.0, 3.0)], seed=0)
    for far, ends in ((-1e3, [-1.0, 2.0]), (1e3, [0.5, 3.0])):
        net.layers[-1].origin.fill_(far)
        assert net.eval()(rows)[0].tolist() == ends, "each to its own"


def test_parts_learn_at_rates_of_their_own() -> None:
    """Adam's first step is the learning rate for each number: six times for a scale, a tenth for biases and mixing."""
    net, rows = started()

    def used() -> list[torch.Tensor]:
        scale, first, mixed = net.layers[0], net.layers[1], net.layers[2]
        one = rows.new_ones(1, 3)
        bias = first(rows.new_zeros(1, 3))
        values = torch.full((1, 64), -1.0)
        bent = (mixed(values) - values) / (mixed.activation(values) - values)
        return [part.detach().clone() for part in (scale(one), first.weight, bias, bent)]

    before, optimizer = used(), torch.optim.AdamW(net.parameters(), 0.01, weight_decay=0.0)
    net(rows).square().mean().backward()
    optimizer.step()
    steps = [float((after - old).abs().median()) for after, old in zip(used(), before, strict=True)]
    assert steps == pytest.approx([0.06, 0.01, 0.001, 0.001], rel=1e-2)


def test_rates_and_decay_over_time() -> None:
    """Four waves, each as long as all before it and one step more; decay holds for half of the time."""
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.2, weight_decay=0.02)
    scheduler = CosLog4(optimizer, total_steps=1500)
    rates, decays = [], []
    for _ in range(1501):
        [group] = optimizer.param_groups
        rates.append(group["lr"])
        decays.append(group["weight_decay"])
        optimizer.step()
        scheduler.step()
    assert [rates[step] for step in (0, 100, 300, 700, 1500)] == pytest.approx([0] * 5, abs=1e-12)
    peaks = [max(range(step, end), key=rates.__getitem__) for step, end in ((0, 100), (100, 300), (300, 700))]
    assert peaks == pytest.approx([100 * (2**0.5 - 1), 100 * (2**1.5 - 1), 100 * (2**2.5 - 1)], abs=1.1)
    assert rates[900] == pytest.approx(0.1 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * 900 / 1500))))
    assert decays[:751] == [0.02] * 751
    assert [decays[1125], decays[1500]] == pytest.approx([0.01, 0], abs=1e-12)
    assert [flat_cos(time) for time in (0, 0.5, 2 / 3, 1)] == pytest.approx([1, 1, 0.75, 0])


def test_members_come_to_what_each_comes_to_alone(tmp_path: Path) -> None:
    """With seeds and learning rates of their own, schedules, dropout and starts among their own rows."""
    base = config(*NOISY, "trainer.precision=64-true")
    members = variants(base, {"seed": 1}, {"seed": 2}, {"optimizer.lr": 0.1}, {"trainer.max_epochs": 4})
    pairs = list(zip(alone(members, tmp_path), together(members, tmp_path), strict=True))
    assert max(gap(*pair) for pair in pairs) < 1e-9
    assert len({pair[0].read_summary()["metrics"]["val/mse"] for pair in pairs}) == 4


def test_folds_equal_runs_alone(tmp_path: Path) -> None:
    """Each starts among its own rows."""
    run = (*SMALL, *NARROW, "trainer.precision=64-true", "folds=3")
    trained(tmp_path / "folds", *run)
    for fold in range(3):
        lone = trained(tmp_path / str(fold), *run, f"fold={fold}")
        assert lone["metrics"] == pytest.approx(evaluate(str(tmp_path / "folds" / "members" / str(fold)), "best"))


@pytest.mark.parametrize("steps", ["4", "1"])
def test_a_killed_run_goes_on_to_the_bit(steps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its rates, weight decay and dropout as far as they had come, in the engine and in Lightning's own loop."""
    run = (*NOISY, f"trainer.steps_per_execution={steps}", "callbacks.checkpoints.every_n_epochs=1")
    write = Writer.__call__

    def copied(self: Writer, trainer: Any, last: bool) -> None:
        write(self, trainer, last)
        if trainer.current_epoch >= 3 and not (tmp_path / "killed").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    monkeypatch.setattr(Writer, "__call__", copied)
    trained(tmp_path / "whole", *run)
    monkeypatch.undo()
    assert 0 < group(tmp_path / "killed")["weight_decay"] < 0.02, "it was stopped where decay is falling"
    trained(tmp_path / "rest", *run, f"resume={tmp_path / 'killed'}")
    assert_same_run(tmp_path / "rest", tmp_path / "whole")


def test_what_it_chooses_and_leaves_to_choose() -> None:
    """Of a table it has its own batches and patience, as far as nothing else is asked for."""
    table = ("data=csv", "data.path=x.csv", "data.target=y")
    found = {}
    for model in ("realmlp", "mlp"):
        for more in ((), ("data.batch_size=32", "callbacks.early_stopping.patience=7", "optimizer.lr=0.1")):
            cfg = composed(*table, f"model={model}", *more)
            settle(cfg)
            patience = cfg.callbacks.early_stopping.patience
            found[model, len(more)] = (cfg.data.batch_size, patience, cfg.optimizer.lr, cfg.trainer.max_epochs)
    assert found["realmlp", 0] == (256, 256, 0.2, 256)
    assert found["mlp", 0] == ("auto", 20, 0.001, 1000)
    assert found["realmlp", 3] == (32, 7, 0.1, 256)


def test_a_table_from_file_to_onnx(tmp_path: Path) -> None:
    """Words of many values, gaps and dates; the exported file says what predict says."""
    frame = varied()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    altered(frame).to_csv(tmp_path / "new.csv", index=False)
    table = ("data=csv", f"data.path={tmp_path}/rows.csv", "data.target=y")
    trained(tmp_path / "run", *table, *NARROW)
    export(str(tmp_path / "run"), "best", "onnx", str(tmp_path / "out"))
    written = predict(str(tmp_path / "run"), str(tmp_path / "new.csv"), str(tmp_path / "own.csv"), "best")
    own = pd.read_csv(written)["y_predicted"].to_numpy()
    [found] = by_onnx(tmp_path / "out" / "model.onnx", tmp_path / "new.csv").values()
    assert (np.abs(found - own) / np.maximum(np.abs(own), own.std())).max() < 1e-6
