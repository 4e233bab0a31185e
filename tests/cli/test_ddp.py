"""Two processes that train together."""

import subprocess
import sys
from pathlib import Path

import torch

from src.results.folder import RunFolder
from tests.compose import trained
from tests.parity.test_baselines import weights

ROOT = Path(__file__).parents[2]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """32 rows by 8 split evenly, so the mean of both gradients is the gradient of the batch."""
    run = ("data.batch_size=8", "trainer.max_epochs=5", "trainer.accelerator=cpu", "trainer.precision=64-true")
    command = [sys.executable, "-m", "src.train", "trainer=ddp", *run, f"hydra.run.dir={tmp_path / 'two'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("completed after 5 epochs (20 steps)") == 1
    trained(tmp_path / "one", *run)
    for two, one in zip(weights(tmp_path / "two"), weights(tmp_path / "one"), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-12, atol=0)
    assert RunFolder(tmp_path / "two").read_metrics()["epoch"] == [1, 2, 3, 4, 5]
