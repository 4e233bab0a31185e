"""Going on from last.ckpt is as if training had never stopped."""

from pathlib import Path

import pytest

from src.results.folder import RunFolder
from tests.compose import trained
from tests.parity.test_baselines import assert_same_bits

RUN = ("model=mlp", "model.hidden=[8]", "model.dropout=0.2", "optimizer=adam", "data.batch_size=6")


@pytest.mark.parametrize("steps", ["auto", "1", "4"])
def test_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, steps: str) -> None:
    run = (*RUN, f"trainer.steps_per_execution={steps}")
    trained(tmp_path / "half", *run, "trainer.max_epochs=5")
    resumed = trained(tmp_path / "rest", *run, "trainer.max_epochs=11", f"resume={tmp_path / 'half'}")
    whole = trained(tmp_path / "whole", *run, "trainer.max_epochs=11")
    assert_same_bits(tmp_path / "rest", tmp_path / "whole")
    assert (resumed["epochs"], resumed["steps"]) == (whole["epochs"], whole["steps"])
    assert resumed["metrics"] == whole["metrics"]
    tail = RunFolder(tmp_path / "whole").read_metrics()["train/loss"][5:]
    assert RunFolder(tmp_path / "rest").read_metrics()["train/loss"] == tail
