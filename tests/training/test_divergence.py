"""A run whose loss is no number ends with its epoch and says where, however its epochs are cut."""

from pathlib import Path

import pytest

from src.runs.folder import RunFolder
from tests.compose import trained

# 26 training rows by 5 are 6 steps an epoch: step 15 lies in the middle of the third.
OVERRIDES = (
    "model=mlp", "model.hidden=[4]", "data.val_fraction=0.2", "data.batch_size=5", "trainer.max_epochs=50",
    "loss._target_=tests.training.broken.Broken", "+loss.since=15",
)  # fmt: skip


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param("auto", id="an execution of several epochs"),
        pytest.param("6", id="an epoch each"),
        pytest.param("2", id="several executions an epoch"),
        pytest.param("1", id="plain"),
    ],
)
def test_it_is_noticed_in_its_epoch(tmp_path: Path, steps: str, value: str) -> None:
    summary = trained(tmp_path, *OVERRIDES, f"+loss.value={value}", f"trainer.steps_per_execution={steps}")
    assert summary["status"] == "diverged"
    assert summary["message"].startswith("the loss of optimizer step 15 was not finite")
    assert (summary["epochs"], summary["steps"]) == (3, 18), "it went on training"
    metrics = RunFolder(tmp_path).read_metrics()
    assert metrics["epoch"] == [1, 2]
    assert summary["metrics"] == {}


@pytest.mark.parametrize("steps", ["auto", "2", "1"])
def test_only_the_last_step_of_an_epoch(tmp_path: Path, steps: str) -> None:
    """Its share in the epoch's mean is the smallest: one row of 26."""
    overrides = [each.replace("since=15", "since=18") for each in OVERRIDES]
    summary = trained(tmp_path, *overrides, "+loss.value=inf", f"trainer.steps_per_execution={steps}")
    assert summary["message"].startswith("the loss of optimizer step 18 was not finite")
    assert (summary["status"], summary["epochs"], summary["steps"]) == ("diverged", 3, 18)


@pytest.mark.parametrize("steps", ["auto", "2", "1"])
def test_a_loss_that_grows_without_bound(tmp_path: Path, steps: str) -> None:
    """Finite still, but absurd; by hand as by autograd."""
    said = []
    for model in ("linear", "scratch"):
        overrides = (f"model={model}", "optimizer.lr=1", "trainer.max_epochs=4000", "data.batch_size=8")
        summary = trained(tmp_path / model, *overrides, f"trainer.steps_per_execution={steps}")
        assert summary["status"] == "diverged"
        assert summary["epochs"] < 10
        said.append(summary["message"].partition(" was ")[0])
    assert said[0] == said[1]
