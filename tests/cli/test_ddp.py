"""Two processes that train together do what one does, and end together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from src.runs.folder import RunFolder
from tests.compose import trained
from tests.parity.test_baselines import weights

ROOT = Path(__file__).parents[2]
CPU = "trainer.accelerator=cpu"
# 26 training rows by 5: the last batch has one row, so that the second process has none of it.
SMALL = ("model=mlp", "model.hidden=[8]", "data.val_fraction=0.2", "data.batch_size=5", "trainer.max_epochs=7", CPU)
MINE = "+callbacks.mine._target_=tests.cli.pair"
RUNS = {
    "plain": SMALL,
    "adam, clipped by norm": (*SMALL, "optimizer=adam", "trainer.gradient_clip_val=0.1"),
    "clipped by value": (*SMALL, "trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"),
    "dropout": (*SMALL, "model.dropout=0.3"),
    "huber, cosine by steps": (*SMALL, "loss=huber", "scheduler=cosine", "scheduler.interval=step"),
    "plateau of train/loss": (
        *SMALL, "data.val_fraction=0", "scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.3",
    ),
    "plateau of val/mse": (*SMALL, "scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.3"),
    "early stopping": (
        *SMALL, "callbacks=early_stopping", "callbacks.early_stopping.patience=2", "trainer.max_epochs=40",
        "callbacks.early_stopping.min_delta=5", "optimizer.lr=0.05",
    ),
    "validated now and then": (*SMALL, "trainer.check_val_every_n_epoch=3", "trainer.max_steps=40"),
    "diverges": (*SMALL, "optimizer.lr=1e6"),
    "accumulates": (*SMALL, "trainer.accumulate_grad_batches=2"),
}  # fmt: skip
ALONE = {f"Ctrl-C in {rank}": (*SMALL, f"{MINE}.CtrlC", f"+callbacks.mine.rank={rank}", "+callbacks.mine.epoch=3")
         for rank in (0, 1)}  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run by two processes: the first writes into ``0``, and the second would into ``1``."""
    folder = tmp_path_factory.mktemp("pairs")
    runs = RUNS | ALONE
    plan = json.dumps(dict(zip(runs, zip(runs.values(), ports(len(runs)), strict=True), strict=True)))
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.cli.pair", plan, str(folder / str(rank))],
            cwd=ROOT,
            env=os.environ | {"LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "NODE_RANK": "0"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        for each in both:
            _, said = each.communicate(timeout=120)
            assert each.returncode == 0, said
    finally:
        for each in both:
            each.kill()
    return folder


def ports(number: int) -> list[int]:
    """Free ones, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    found = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return found


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_do_what_one_does(pairs: Path, tmp_path: Path, name: str) -> None:
    overrides = RUNS[name]
    one = trained(tmp_path, *overrides, "trainer.steps_per_execution=1")
    two = RunFolder(pairs / "0" / name).read_summary()
    for key in ("status", "epochs", "steps", "best_epoch", "message"):
        assert two.get(key) == one.get(key), key
    if name == "diverges":
        assert one["status"] == "diverged", "choose other overrides"
        return
    columns = [RunFolder(path).read_metrics() for path in (pairs / "0" / name, tmp_path)]
    assert list(columns[0]) == list(columns[1])
    for column, mine in columns[0].items():
        close(torch.tensor(mine), torch.tensor(columns[1][column]), column)
    for kind in ("last", "best"):
        for mine, theirs in zip(weights(pairs / "0" / name, kind), weights(tmp_path, kind), strict=True):
            close(mine, theirs, kind)


def close(mine: torch.Tensor, theirs: torch.Tensor, what: str) -> None:
    """Equal but for the order in which rows are added up."""
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6, equal_nan=True, msg=lambda m: f"{what}: {m}")


@pytest.mark.parametrize("name", ALONE)
def test_ctrl_c_in_one_process_ends_both_with_the_epoch(pairs: Path, name: str) -> None:
    summary = RunFolder(pairs / "0" / name).read_summary()
    assert (summary["status"], summary["epochs"]) == ("interrupted", 3)
    assert (pairs / "0" / name / "checkpoints" / "last.ckpt").is_file()


def test_only_the_first_process_writes(pairs: Path) -> None:
    written = [path for path in (pairs / "1").rglob("*") if path.is_file() and path.parent.name != ".hydra"]
    assert not written  # what lies in .hydra is from tests.compose
