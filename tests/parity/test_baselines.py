"""What was derived by hand against what it replaces, and a run against itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from src.models.least_squares import least_squares
from src.runs.folder import RunFolder
from tests.compose import trained

DOUBLE = "trainer.precision=64-true"
START = ("model.init.weight=0.3", "model.init.bias=-0.2", "trainer.max_epochs=30", DOUBLE)


def weights(folder: Path, name: str = "last") -> list[torch.Tensor]:
    state = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]
    return [tensor.flatten() for tensor in state.values()]


def assert_same_bits(a: Path, b: Path) -> None:
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("features", ["[wt]", "[wt,hp,cyl]"])
def test_hand_written_gradient_equals_autograd_and_linear(tmp_path: Path, loss: str, features: str) -> None:
    common = (*START, f"loss={loss}", f"data.features={features}", "data.batch_size=5", "optimizer.lr=0.00001")
    trained(tmp_path / "analytic", "model=scratch", "model.gradient=analytic", *common)
    trained(tmp_path / "autograd", "model=scratch", "model.gradient=autograd", *common)
    trained(tmp_path / "linear", "model=linear", *common)
    for analytic, autograd, linear in zip(
        weights(tmp_path / "analytic"), weights(tmp_path / "autograd"), weights(tmp_path / "linear"), strict=True
    ):
        torch.testing.assert_close(analytic, autograd, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(linear, autograd, rtol=1e-12, atol=1e-14)


def test_trained_line_reaches_least_squares(tmp_path: Path) -> None:
    summary = trained(tmp_path, "optimizer.lr=0.08", "optimizer.momentum=0.9", "trainer.max_epochs=2000", DOUBLE)
    for name, value in summary["parameters"].items():
        assert value == pytest.approx(summary["reference"][name], rel=1e-8)
    assert summary["metrics"]["train/mse"] == pytest.approx(summary["reference"]["mse"], rel=1e-10)


def test_least_squares_in_chunks_equals_numpy() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(1000, 1, (300, 3))
    target = features @ [1.0, -2.0, 3.0] + 5 + generator.normal(size=300)
    chunks = [(features[i : i + 64], target[i : i + 64]) for i in range(0, 300, 64)]
    line, mse, r2 = least_squares(lambda: chunks)
    wanted = np.linalg.lstsq(np.column_stack([features, np.ones(300)]), target, rcond=None)[0]
    np.testing.assert_allclose([*line.slopes, line.intercept], wanted, rtol=1e-8)
    assert mse == pytest.approx(np.mean((target - line(features)) ** 2))
    assert r2 == pytest.approx(1 - mse / target.var())


@pytest.mark.parametrize("model", ["scratch", "linear", "mlp"])
def test_same_command_same_bits_and_another_seed_differs(tmp_path: Path, model: str) -> None:
    command = (f"model={model}", "data.batch_size=6", "optimizer.lr=0.001", "trainer.max_epochs=5")
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        trained(tmp_path / name, *command, f"seed={seed}")
    assert_same_bits(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_same_bits(tmp_path / "a", tmp_path / "c")


def test_standardized_line_is_shown_in_raw_units(tmp_path: Path) -> None:
    summary = trained(tmp_path, "data.standardize=true", "optimizer.lr=0.1", "trainer.max_epochs=500", DOUBLE)
    for name, value in summary["parameters"].items():
        assert value == pytest.approx(summary["reference"][name], rel=1e-6)


def test_lbfgs_trains_by_lightnings_own_loop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It calls for the loss several times a step; the reason is logged, and a straight line is found at once."""
    keys = ("momentum", "nesterov", "weight_decay", "lr")
    lbfgs = ("optimizer._target_=torch.optim.LBFGS", *(f"~optimizer.{key}" for key in keys))
    with caplog.at_level("INFO"):
        summary = trained(tmp_path, *lbfgs, "trainer.max_epochs=20", "data.val_fraction=0.1")
    assert "plain path, one optimizer step per execution: torch.optim.LBFGS evaluates the loss" in caplog.text
    assert (summary["status"], summary["epochs"], summary["steps"]) == ("completed", 20, 20)
    rows = RunFolder(tmp_path).read_metrics()
    assert rows["epoch"] == list(range(1, 21))
    assert rows["train/loss"][0] > 10 * rows["train/loss"][1]  # the loss before the first update is that of the start
    assert summary["metrics"]["train/mse"] < 1.0001 * summary["reference"]["mse"]
