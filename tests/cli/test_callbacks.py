"""Callbacks of the user's own and of Lightning's: what they are promised happens, or they are refused in one line."""

from pathlib import Path

import lightning.pytorch.callbacks
import pytest
from lightning.pytorch.callbacks import LambdaCallback

from src.config import way
from src.runs.folder import RunFolder
from tests.cli import mine
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call, everything_under
from tests.compose import trained

# 24 training rows by 8: 3 steps an epoch.
SMALL = ("model=mlp", "model.hidden=[4]", "data.val_fraction=0.25", "data.batch_size=8", "trainer.max_epochs=4")
OWN_LOOP = "follows each optimizer step"
RUNS, PLAIN = "runs", "takes Lightning's own loop"
# Every callback of Lightning: its arguments, and what becomes of it or the reason why it is refused.
LIGHTNINGS: dict[str, tuple[tuple[str, ...], str]] = {
    "BackboneFinetuning": ((), "freezes and frees"),
    "BaseFinetuning": ((), "freezes and frees"),
    "BasePredictionWriter": ((), RUNS),
    "BatchSizeFinder": ((), "a sweep over data.batch_size"),
    "Callback": ((), RUNS),
    "Checkpoint": ((), RUNS),
    "DeviceStatsMonitor": ((), PLAIN),
    "EMAWeightAveraging": ((), "expected data.val_fraction=0"),
    "EarlyStopping": (("monitor=val/mse",), RUNS),
    "GradientAccumulationScheduler": (("scheduling={2:2}",), PLAIN),
    "LambdaCallback": ((), RUNS),
    "LearningRateFinder": ((), "-m sweep=lr"),
    "LearningRateMonitor": ((), PLAIN),
    "ModelCheckpoint": (("monitor=val/mse", "save_top_k=2", "save_last=true"), PLAIN),
    "ModelPruning": (("pruning_fn=l1_unstructured",), "renames a net's parameters"),
    "ModelSummary": ((), RUNS),
    "OnExceptionCheckpoint": (("dirpath=run/mine",), RUNS),
    "ProgressBar": ((), RUNS),
    "RichModelSummary": ((), RUNS),
    "RichProgressBar": ((), PLAIN),
    "SpikeDetection": ((), PLAIN),
    "StochasticWeightAveraging": (("swa_lrs=0.01",), "a schedule of its own"),
    "TQDMProgressBar": ((), PLAIN),
    "ThroughputMonitor": (("batch_size_fn=null",), "needs a function"),
    "Timer": (("duration=00:00:10:00",), PLAIN),
    "WeightAveraging": ((), "expected data.val_fraction=0"),
}


def lightnings(name: str, *arguments: str) -> tuple[str, ...]:
    """The overrides that add one of Lightning's."""
    return (
        f"+callbacks.x._target_=lightning.pytorch.callbacks.{name}",
        *(f"+callbacks.x.{each}" for each in arguments),
    )


def test_every_callback_of_lightning_is_listed() -> None:
    assert set(LIGHTNINGS) == set(lightning.pytorch.callbacks.__all__)


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_a_callback_of_lightning(call: Call, tmp_path: Path, name: str) -> None:
    arguments, fate = LIGHTNINGS[name]
    answer = call("train", *lightnings(name, *arguments), *SMALL, "figures=false", "hydra.run.dir=run")
    if fate not in (RUNS, PLAIN):
        assert_refused(answer, f"callbacks.x: {name} cannot be used here: it ", fate)
        assert not (tmp_path / "run").exists()
        return
    assert answer.code == 0, answer.err
    assert "Traceback" not in answer.err
    assert ("plain path" in answer.out) == (fate == PLAIN)
    assert RunFolder("run").read_summary()["status"] == "completed"
    outside = {path for path in everything_under(tmp_path) if path.partition("/")[0] != "run"}
    assert not outside, "written where the command was started"
    ours = {"checkpoints/best.ckpt", "checkpoints/last.ckpt"}
    kept = {"checkpoints/x/last.ckpt"} if name == "ModelCheckpoint" else set()
    assert ours | kept <= everything_under(tmp_path / "run")


@pytest.mark.parametrize("name", ["DeviceStatsMonitor", "LearningRateMonitor"])
def test_one_that_needs_a_logger(call: Call, tmp_path: Path, name: str) -> None:
    assert_refused(call("train", *lightnings(name), *SMALL, "logger=none", "hydra.run.dir=run"), name, "logger")
    assert not (tmp_path / "run").exists()


def test_checkpoints_go_where_the_user_says(call: Call, tmp_path: Path) -> None:
    answer = call("train", *lightnings("ModelCheckpoint", "dirpath=there"), *SMALL, "hydra.run.dir=run")
    assert answer.code == 0, answer.err
    assert [path.suffix for path in (tmp_path / "there").iterdir()] == [".ckpt"]
    assert not (tmp_path / "run" / "checkpoints" / "x").exists()


@pytest.mark.parametrize("hook", mine.STEPS)
def test_a_hook_of_steps_fires_as_in_lightnings_loop(
    tmp_path: Path, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A class that overrides one hook, which keeps its run out of the engine, and the log says why."""
    caplog.set_level("INFO")
    mine.COUNTED.clear()
    summary = trained(tmp_path, *SMALL, f"+callbacks.mine._target_=tests.cli.mine.{hook}")
    assert dict(mine.COUNTED) == {hook: 12}
    assert summary["steps"] == 12
    assert f"plain path, one optimizer step per execution: {hook}.{hook} {OWN_LOOP}" in caplog.messages


def test_a_hook_that_stands_on_the_instance() -> None:
    seen = LambdaCallback(on_before_zero_grad=lambda *_: None)
    assert way.follows_steps([seen]) == f"LambdaCallback.on_before_zero_grad {OWN_LOOP}"
    assert way.follows_steps([LambdaCallback(on_train_epoch_end=lambda *_: None)]) is None


@pytest.mark.parametrize("steps", ["auto", "2", "1"])
def test_an_epochs_end_shows_the_figures_of_that_epoch(
    tmp_path: Path, steps: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    mine.SEEN.clear()
    watcher = "+callbacks.mine._target_=tests.cli.mine.Watcher"
    trained(tmp_path, *SMALL, watcher, f"trainer.steps_per_execution={steps}")
    assert any("plain path" in said for said in caplog.messages) == (steps == "1")
    metrics = RunFolder(tmp_path).read_metrics()
    for name in ("train/loss", "val/mse", "val/r2"):
        assert [each[name] for each in mine.SEEN["epoch"]] == pytest.approx(metrics[name], rel=1e-6), name
    assert [each["val/mse"] for each in mine.SEEN["val"]] == pytest.approx(metrics["val/mse"], rel=1e-6)


@pytest.mark.parametrize("monitor", ["val/mse", "train/loss"])
@pytest.mark.parametrize("steps", ["auto", "1"])
def test_lightnings_early_stopping_stops_where_ours_does(tmp_path: Path, monitor: str, steps: str) -> None:
    settings = {"monitor": monitor, "patience": 2, "min_delta": 0.5}
    ends = []
    for name in ("src.training.early_stopping.EarlyStopping", "lightning.pytorch.callbacks.EarlyStopping"):
        own = [f"+callbacks.x.{key}={value}" for key, value in {"_target_": name, "mode": "min", **settings}.items()]
        summary = trained(
            tmp_path / name, *SMALL, *own, "trainer.max_epochs=60", "optimizer.lr=0.05",
            f"trainer.steps_per_execution={steps}",
        )  # fmt: skip
        ends.append((summary["status"], summary["epochs"], summary["metrics"]))
    assert ends[0] == ends[1]
    assert ends[0][0] == "stopped early"
    assert 3 < ends[0][1] < 60


def test_averaged_weights_are_those_that_are_kept(call: Call) -> None:
    small = (*SMALL, "data.val_fraction=0", "figures=false", "logger=none")
    assert call("train", *lightnings("EMAWeightAveraging"), *small, "hydra.run.dir=mean").code == 0
    assert call("train", *small, "trainer.steps_per_execution=1", "hydra.run.dir=last").code == 0
    answer = call("evaluate", "run=mean", "trust=lightning")
    mean, last = (RunFolder(name).read_summary()["metrics"] for name in ("mean", "last"))
    assert mean["train/mse"] > 1.01 * last["train/mse"]
    assert f"{mean['train/mse']:.6g}" in answer.out
