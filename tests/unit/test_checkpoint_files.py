"""A checkpoint file holds the checkpoint, and nothing of what its tensors are views of."""

import errno
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor

from src.training.checkpoint_files import save


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return type(one) is type(other) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    return type(one) is type(other) and repr(one) == repr(other)


def in_a_stack(value: Any, members: int = 1000) -> Any:
    """The same value with tensors that are rows of a stack's."""
    if isinstance(value, dict):
        return type(value)((key, in_a_stack(inner, members)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return type(value)(in_a_stack(inner, members) for inner in value)
    if isinstance(value, Tensor):
        return torch.stack([torch.zeros_like(value)] * (members - 1) + [value])[-1]
    return value


def checkpoint() -> dict[str, Any]:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1, dtype=torch.float64))
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.6",
        "state_dict": net.state_dict(),
        "optimizer_states": [{"state": {0: {"step": torch.tensor(7.0)}}, "param_groups": [{"betas": (0.9, 1e-300)}]}],
        "loops": {"flag": True, "none": None, "lists": [[1, "a"], []], "inf": float("inf")},
    }


def test_it_is_read_back(tmp_path: Path) -> None:
    whole = checkpoint()
    save(whole, tmp_path / "last.ckpt")
    found = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert same(found, whole)
    assert found["state_dict"]._metadata == whole["state_dict"]._metadata


def test_a_view_is_saved_without_what_it_is_a_view_of(tmp_path: Path) -> None:
    whole = checkpoint()
    views = in_a_stack(whole)
    save(whole, tmp_path / "alone.ckpt")
    save(views, tmp_path / "last.ckpt")
    assert same(torch.load(tmp_path / "last.ckpt", weights_only=True), whole)
    assert abs((tmp_path / "last.ckpt").stat().st_size - (tmp_path / "alone.ckpt").stat().st_size) < 500
    assert views["state_dict"]["0.weight"].untyped_storage().nbytes() > 40_000, "the caller's checkpoint changed"


def test_parts_of_one_row_and_columns_of_a_matrix(tmp_path: Path) -> None:
    rows = torch.arange(300.0).reshape(10, 30)
    parts = {"weight": rows[4, :28].view(4, 7).T, "bias": rows[4, 28:], "column": rows[:, 2]}
    save(parts, tmp_path / "a.ckpt")
    found = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert same(found, parts)
    found["bias"] += 1
    assert found["weight"].equal(parts["weight"])


def test_a_tensor_that_occurs_twice_is_one(tmp_path: Path) -> None:
    tied = torch.zeros(3)
    save({"state_dict": OrderedDict(a=tied, b=tied)}, tmp_path / "a.ckpt")
    found = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    found["a"] += 1
    assert found["b"].tolist() == [1, 1, 1]


def test_a_file_s_bytes_do_not_depend_on_its_name(tmp_path: Path) -> None:
    whole = checkpoint()
    for name in ("a.ckpt", "b.ckpt"):
        save(whole, tmp_path / name)
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save({"epoch": 1}, tmp_path / "last.ckpt")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save({"epoch": 2}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True) == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.filterwarnings("ignore")
def test_lightning_goes_on_from_it(tmp_path: Path) -> None:
    """The resumed training of a stack's member ends where the uninterrupted one does."""

    class Adam(BoringModel):
        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=0.1)

    def trainer(epochs: int) -> pl.Trainer:
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        return pl.Trainer(
            max_epochs=epochs, limit_train_batches=2, limit_val_batches=0, accelerator="cpu", devices=1, **quiet
        )

    def trained(epochs: int, model: pl.LightningModule, path: Path | None = None) -> pl.Trainer:
        fitting = trainer(epochs)
        torch.manual_seed(0)
        fitting.fit(model, torch.utils.data.DataLoader(torch.ones(4, 32), 2), ckpt_path=path, weights_only=True)
        return fitting

    torch.manual_seed(1)
    start = Adam().state_dict()
    whole, first, rest = Adam(), Adam(), Adam()
    for model in (whole, first):
        model.load_state_dict(start)
    trained(4, whole)
    half = trained(2, first)
    save(in_a_stack(half._checkpoint_connector.dump_checkpoint()), tmp_path / "last.ckpt")
    resumed = trained(4, rest, tmp_path / "last.ckpt")
    assert (resumed.current_epoch, resumed.global_step) == (4, 8)
    assert same(rest.state_dict(), whole.state_dict())
    assert not same(first.state_dict(), whole.state_dict())


def test_a_kill_between_two_names_of_a_file_leaves_nothing(tmp_path: Path) -> None:
    """To rename a file to another name of the same one does nothing, and keeps both."""
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    save({"epoch": 1}, last)
    os.link(last, previous)  # as far as the killed process came
    save({"epoch": 2}, last, keep=previous)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert [torch.load(path)["epoch"] for path in (last, previous)] == [2, 1]
