"""Many steps an execution against Lightning's own loop: the same bits."""

from pathlib import Path

import pytest
import torch

from src.data import partition
from src.runs.folder import RunFolder
from tests.compose import trained
from tests.parity.test_baselines import assert_same_bits, weights

SMALL = ("model=mlp", "model.hidden=[8]", "trainer.max_epochs=7", "data.batch_size=5")
OPTIMIZERS = {
    "sgd": ("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true", "optimizer.weight_decay=0.01"),
    "adam": ("optimizer=adam",),
    "adamw": ("optimizer=adamw",),
    "rmsprop": ("optimizer=rmsprop", "optimizer.momentum=0.5"),
}
SCHEDULERS = {
    "none": (),
    "step": ("scheduler=step", "scheduler.step_size=2"),
    "step by step": ("scheduler=step", "scheduler.step_size=9", "scheduler.interval=step"),
    "cosine": ("scheduler=cosine",),
    "plateau": ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.5"),
    "onecycle": ("scheduler=onecycle",),
}


def assert_parity(tmp_path: Path, *overrides: str, steps: str = "auto") -> None:
    """Trains both ways and compares weights, optimizer state, counters and every recorded figure."""
    fast = trained(tmp_path / "fast", *overrides, f"trainer.steps_per_execution={steps}")
    plain = trained(tmp_path / "plain", *overrides, "trainer.steps_per_execution=1")
    assert_same_bits(tmp_path / "fast", tmp_path / "plain")
    for key in ("epochs", "steps", "metrics", "status"):
        assert fast[key] == plain[key], key
    ours, theirs = (RunFolder(tmp_path / name).read_metrics() for name in ("fast", "plain"))
    assert list(ours) == list(theirs)
    for name, column in ours.items():
        torch.testing.assert_close(
            torch.tensor(column), torch.tensor(theirs[name]), rtol=1e-6, atol=0, equal_nan=True, msg=name
        )
    states = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("fast", "plain")
    ]
    for key in ("epoch", "global_step"):
        assert states[0][key] == states[1][key]
    assert len(states[0]["lr_schedulers"]) == len(states[1]["lr_schedulers"])
    for mine, other in zip(*(state["lr_schedulers"] for state in states), strict=True):
        assert mine["_last_lr"] == other["_last_lr"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_and_scheduler(tmp_path: Path, optimizer: str, scheduler: str) -> None:
    # 26 training rows by 5: the last batch is short.
    assert_parity(tmp_path, *SMALL, "data.val_fraction=0.2", *OPTIMIZERS[optimizer], *SCHEDULERS[scheduler])


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.dropout=0.3",),
        ("model.dropout=0.3", "data.val_fraction=0.2"),
        ("trainer.gradient_clip_val=0.1",),
        ("trainer.gradient_clip_val=0.01", "trainer.gradient_clip_algorithm=value"),
        ("data.shuffle=false",),
        ("data.batch_size=null",),
        ("data.batch_size=null", "data.val_fraction=0.2", "trainer.check_val_every_n_epoch=3"),
        ("data.val_fraction=0.2", "trainer.check_val_every_n_epoch=2", "scheduler=plateau", "scheduler.patience=0"),
        ("trainer.max_steps=17",),
        ("trainer.max_steps=17", "trainer.max_epochs=-1", "data.val_fraction=0.2", "scheduler=cosine"),
        ("trainer.precision=64-true", "loss=huber", "objective=train/mae"),
    ],
)
@pytest.mark.parametrize("steps", ["auto", "4"])
def test_what_else_may_change_an_epoch(tmp_path: Path, overrides: tuple[str, ...], steps: str) -> None:
    assert_parity(tmp_path, *SMALL, *overrides, steps=steps)


@pytest.mark.parametrize("model", ["linear", "scratch"])
def test_a_line_full_batch_and_by_batches(tmp_path: Path, model: str) -> None:
    assert_parity(tmp_path / "full", f"model={model}", "trainer.max_epochs=600")
    assert_parity(tmp_path / "batches", f"model={model}", "data.batch_size=7", "trainer.max_epochs=9")


def test_early_stopping_ends_both_paths_at_the_same_epoch(tmp_path: Path) -> None:
    overrides = (
        *SMALL, "callbacks=early_stopping", "data.val_fraction=0.25", "callbacks.early_stopping.patience=2",
        "callbacks.early_stopping.min_delta=5", "trainer.max_epochs=60", "optimizer.lr=0.05",
    )  # fmt: skip
    assert_parity(tmp_path, *overrides)
    assert 2 < len(RunFolder(tmp_path / "fast").read_metrics()["epoch"]) < 60


def test_early_stopping_with_sparse_validation(tmp_path: Path) -> None:
    assert_parity(
        tmp_path, *SMALL, "callbacks=early_stopping", "data.val_fraction=0.25", "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=5", "trainer.max_epochs=60", "trainer.check_val_every_n_epoch=3",
    )  # fmt: skip
    assert len(RunFolder(tmp_path / "fast").read_metrics()["epoch"]) < 60


def test_best_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    overrides = (*SMALL, "data.val_fraction=0.3", "optimizer=adam", "optimizer.lr=0.05")
    summary = trained(tmp_path / "long", *overrides, "trainer.max_epochs=40")
    column = RunFolder(tmp_path / "long").read_metrics()["val/mse"]
    best = summary["best_epoch"]
    assert column[best - 1] == min(column)
    assert summary["metrics"]["val/mse"] == pytest.approx(min(column), rel=1e-5)
    assert best < 40, "choose overrides that overfit, or this proves nothing"
    trained(tmp_path / "short", *overrides, f"trainer.max_epochs={best}")
    for mine, other in zip(weights(tmp_path / "long", "best"), weights(tmp_path / "short", "last"), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("trainer.accumulate_grad_batches=2",), "accumulate_grad_batches"),
        (("trainer.precision=bf16-mixed",), "precision"),
        (("+trainer.limit_train_batches=2",), "limit_train_batches"),
    ],
)
def test_plain_path_serves_the_rest_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, overrides: tuple[str, ...], reason: str
) -> None:
    caplog.set_level("INFO")
    summary = trained(tmp_path, *SMALL, *overrides)
    assert any("plain path" in line and reason in line for line in caplog.messages)
    assert summary["status"] == "completed"
    assert summary["steps"] == {"accumulate_grad_batches": 28, "precision": 49, "limit_train_batches": 14}[reason]


@pytest.mark.parametrize("changed", [(), ("data.shuffle=false",), ("data.batch_size=null",)])
def test_a_table_too_large_to_be_encoded_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: tuple[str, ...]
) -> None:
    overrides = (*SMALL, "data.val_fraction=0.2", *changed)
    once = trained(tmp_path / "once", *overrides)
    monkeypatch.setattr(partition, "_ENCODED_ONCE", 0)
    monkeypatch.setattr(partition.Partition, "encoded", lambda *_: pytest.fail("the whole table was encoded"))
    by_execution = trained(tmp_path / "by_execution", *overrides)
    assert_same_bits(tmp_path / "once", tmp_path / "by_execution")
    assert by_execution["metrics"] == once["metrics"]
