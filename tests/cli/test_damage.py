"""A file of a run that was damaged is refused, or said, or makes no difference."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from src.errors import UserError
from src.runs.folder import RunFolder
from src.training.checkpoint_reading import read
from tests.faults.damage import damaged


def test_damages(call: object) -> None:
    """``python -m tests.faults.damage`` tries more."""
    found = Counter(outcome for _, _, outcome in damaged(14, seed=7))
    assert set(found) <= {"refused", "said", "same"}, found
    assert found["refused"] >= 3


def test_every_bit_of_a_checkpoint_s_numbers_counts(tmp_path: Path) -> None:
    """torch itself reads a flipped weight as another number."""
    path = tmp_path / "a.ckpt"
    torch.save({"weight": torch.full((64,), 1.5)}, path)
    content = path.read_bytes()
    place = content.index(torch.full((64,), 1.5).numpy().tobytes())
    for byte in (place, place + 100, place + 255):
        path.write_bytes(content[:byte] + bytes([content[byte] ^ 1]) + content[byte + 1 :])
        assert not torch.equal(torch.load(path, weights_only=True)["weight"], torch.full((64,), 1.5))
        with pytest.raises(Exception, match="is damaged"):
            read(path)
    path.write_bytes(content)
    assert read(path)["weight"].tolist() == [1.5] * 64


def test_a_summary_and_what_it_vouches_for(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_text("epoch,train/loss\n1,2.5\n")
    folder.write_summary({"status": "completed", "seed": 3})
    assert folder.read_summary() == {"status": "completed", "seed": 3}
    assert folder.read_metrics() == {"epoch": [1.0], "train/loss": [2.5]}
    folder.metrics.write_text("epoch,train/loss\n1,2.6\n")
    with pytest.raises(UserError, match=r"metrics\.csv: is damaged"):
        folder.read_metrics()
    whole = folder.summary.read_text()
    folder.summary.write_text(whole.replace("3", "4", 1))
    with pytest.raises(UserError, match=r"summary\.json: is damaged.*\"checksums\" has to go"):
        folder.read_summary()
    # As an older run has it, or somebody who changed it on purpose.
    folder.summary.write_text('{"status": "completed", "seed": 4}')
    assert folder.read_summary()["seed"] == 4
    assert folder.read_metrics()["train/loss"] == [2.6]
