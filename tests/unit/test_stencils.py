"""A filled checkpoint is the one that torch.save writes."""

import io
import zipfile
from typing import Any

import pytest
import torch

from src.results.stencils import Stencils

COMMON = {"version": "2", "loops": {"done": 3, "rate": 0.5}, "fixed": torch.arange(3)}


def checkpoint(number: float, size: int = 3, epoch: int = 5) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "weights": {"w": torch.full((2, size), number), "b": torch.tensor(number, dtype=torch.float64)},
        "states": [{"step": torch.tensor(7.0), "lr": number, "betas": (0.9, number), "none": None, "flag": True}],
        "names": ["a", "b"],
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("last", [checkpoint(-0.0), checkpoint(1e-300), checkpoint(float("inf")), checkpoint(0.5, 4),
                                  checkpoint(0.5, epoch=300), checkpoint(0.1)])  # fmt: skip
def test_a_filled_checkpoint_loads_as_what_was_filled_in(last: dict[str, Any]) -> None:
    stencils = Stencils(COMMON)
    for own in (checkpoint(1.5), checkpoint(float("nan")), last):
        file = stencils.file(own)
    assert same(torch.load(io.BytesIO(file), weights_only=True), own | COMMON)
    assert zipfile.ZipFile(io.BytesIO(file)).testzip() is None, "a checksum is not that of its record"


def test_checkpoints_that_differ_in_numbers_are_saved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    whole = torch.save
    monkeypatch.setattr(torch, "save", lambda *args: (saved.append(1), whole(*args)))
    stencils = Stencils(COMMON)
    for number in range(5):
        stencils.file(checkpoint(float(number)))
    assert len(saved) == 1
