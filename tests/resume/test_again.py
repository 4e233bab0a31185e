"""``hydra.run.dir=DIR resume=DIR``: the same command goes on in its folder, and ends as if nothing had been."""

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from src.runs.folder import RunFolder
from src.runs.live import Live
from src.training.checkpoints import Writer
from tests.cli.test_bad_input import assert_refused
from tests.cli.test_folders import content
from tests.commands import Call
from tests.faults.same import differences

RUN = (
    *("model=mlp", "model.hidden=[8]", "model.dropout=0.1", "optimizer=adam", "scheduler=plateau"),
    *("data.val_fraction=0.2", "data.batch_size=8", "trainer.max_epochs=12", "logger=none"),
    *("callbacks=early_stopping", "callbacks.checkpoints.every_n_epochs=3"),
)


def killed(call: Call, monkeypatch: pytest.MonkeyPatch, *run: str, writes: int = 2) -> None:
    """A run in ``whole``, and in ``run`` what was there after so many checkpoints, and what came after them."""
    write, written = Writer.__call__, []

    def copied(self: Writer, trainer: Any, last: bool) -> None:
        write(self, trainer, last)
        written.append(trainer.current_epoch)
        if len(written) == writes:
            shutil.copytree("whole", "run")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "__call__", copied)
        answer = call("train", *run, "hydra.run.dir=whole")
    assert answer.code == 0, answer.err
    rows = Path("whole/metrics.csv").read_bytes()
    torn = rows[: rows.rindex(b",")]  # later epochs were written as well, the last one not to its end
    Path("run/metrics.csv").write_bytes(torn)
    for name in ("checkpoints/last.ckpt", "metrics.csv", ".hydra/config.yaml"):
        Path(f"run/{name}.999999999.partial").write_text("half of it")


@pytest.mark.parametrize("steps", ["auto", "1"])
def test_a_killed_run_goes_on(steps: str, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """To the bit, its pictures too, with one metrics.csv; nothing half written stays."""
    killed(call, monkeypatch, *RUN, f"trainer.steps_per_execution={steps}")
    assert not RunFolder("run").summary.exists()
    answer = call("train", "hydra.run.dir=run", "resume=run")
    assert answer.code == 0, answer.err
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    one, other = (RunFolder(name).read_summary() for name in ("run", "whole"))
    assert (one["command"], one["overrides"]) == (other["command"], other["overrides"])
    before = content(Path("run"))
    answer = call("train", "hydra.run.dir=run", "resume=run")
    assert answer.code == 0
    assert "has 12 epochs already, nothing is left to do" in answer.out
    assert content(Path("run")) | {"train.log": b""} == before | {"train.log": b""}


def test_a_damaged_checkpoint(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one before takes its place, and a line says so; a run that has none is refused."""
    killed(call, monkeypatch, *RUN, "figures=false")
    last = RunFolder("run").checkpoint("last")
    last.write_bytes(last.read_bytes()[:1000])
    shutil.copytree("run", "worse")
    answer = call("train", "hydra.run.dir=run", "resume=run")
    assert answer.code == 0, answer.err
    assert "last.ckpt: is not a whole checkpoint" in answer.out
    assert "going on from the one before" in answer.out
    assert differences(tmp_path / "run", tmp_path / "whole") == []
    Path("worse/checkpoints/previous.ckpt").unlink()
    assert_refused(call("train", "hydra.run.dir=worse", "resume=worse"), "last.ckpt: is not a whole checkpoint")


def test_a_process_that_ended_after_its_training(call: Call, tmp_path: Path) -> None:
    """Only what is missing is written."""
    answer = call("train", *RUN, "hydra.run.dir=whole")
    assert answer.code == 0, answer.err
    shutil.copytree("whole", "run")
    RunFolder("run").summary.unlink()
    RunFolder("run").checkpoint("best").unlink()
    shutil.rmtree("run/figures")
    answer = call("train", "hydra.run.dir=run", "resume=run")
    assert answer.code == 0, answer.err
    assert "epoch " not in answer.out.partition("completed")[0], "it was trained again"
    assert differences(tmp_path / "run", tmp_path / "whole") == []


def test_the_first_time_it_begins(call: Call) -> None:
    """And is noted as any other run."""
    answer = call("train", *RUN, "figures=false", "hydra.run.dir=run", "resume=run")
    assert answer.code == 0, answer.err
    assert "nothing was begun there, the run begins" in answer.out
    assert RunFolder("run").read_summary()["overrides"] == [*RUN, "figures=false"]
    assert OmegaConf.load("run/.hydra/overrides.yaml") == [*RUN, "figures=false"]
    assert OmegaConf.load("run/.hydra/config.yaml").resume is None


def test_a_run_that_had_not_written_what_it_is(call: Call) -> None:
    """Killed between Hydra's files and ours: the command has to say it again, and is told how."""
    folder = Path("run/.hydra")
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: {_target_: x}\nname: ${hydra:runtime.choices.model}\n")
    (folder / "hydra.yaml").write_text("hydra: {callbacks: {folders: {_target_: src.plugins.folders.Folders}}}\n")
    (folder / "overrides.yaml").write_text("- model=mlp\n- trainer.max_epochs=3\n")
    before = content(Path("run"))
    answer = call("train", "hydra.run.dir=run", "resume=run")
    assert_refused(answer, "python -m src.train model=mlp trainer.max_epochs=3 hydra.run.dir=run resume=run")
    assert content(Path("run")) == before
    more = ("model=mlp", "trainer.max_epochs=3", "logger=none", "figures=false")
    assert call("train", *more, "hydra.run.dir=run", "resume=run").code == 0
    assert RunFolder("run").read_summary()["epochs"] == 3


def test_what_is_refused_changes_nothing(call: Call) -> None:
    """Nor is what was asked for noted; and a folder that is no run's is left alone."""
    run = ("logger=none", "figures=false", "trainer.max_epochs=3")
    assert call("train", "data=synthetic", *run, "hydra.run.dir=run").code == 0
    before = content(Path("run"))
    answer = call("train", "hydra.run.dir=run", "resume=run", "data.n_samples=50", "trainer.max_epochs=9")
    assert_refused(answer, "resume=run: data.n_samples", "the rows have to be the same")
    assert content(Path("run")) | {"train.log": b""} == before | {"train.log": b""}
    Path("mine").mkdir()
    Path("mine/summary.json").write_text("{}")
    assert_refused(call("train", "hydra.run.dir=mine", "resume=mine"), "holds files that are not a run's")
    assert content(Path("mine")) == {"summary.json": b"{}"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_epoch(number: int, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a checkpoint and a summary, and the exit code that shells have for it."""
    began = Live.on_train_start

    def shot(self: Live, *arguments: Any) -> None:
        began(self, *arguments)
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

    monkeypatch.setattr(Live, "on_train_start", shot)
    answer = call("train", "logger=none", "figures=false", "trainer.max_epochs=1000000", "hydra.run.dir=run")
    assert answer.code == 128 + number
    summary = RunFolder("run").read_summary()
    assert summary["status"] == "interrupted"
    assert torch.load(RunFolder("run").checkpoint("last"), weights_only=True)["epoch"] == summary["epochs"]
    assert len(RunFolder("run").read_metrics()["epoch"]) == summary["epochs"]


def test_a_folder_that_is_taken_away_stays_away(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends in one line at its next write, and makes no folder anew."""
    began = Live.on_train_start

    def gone(self: Live, *arguments: Any) -> None:
        began(self, *arguments)
        shutil.rmtree("run")

    monkeypatch.setattr(Live, "on_train_start", gone)
    long = ("trainer.max_epochs=1000000", "callbacks.checkpoints.every_n_epochs=50")
    answer = call("train", "logger=none", "figures=false", *long, "hydra.run.dir=run")
    assert answer.code in (1, 2)
    assert len(answer.lines) == 1, answer.err
    assert not Path("run").exists()


@pytest.mark.parametrize("every", ["every_n_epochs=3", "every_n_steps=12"])
def test_a_run_that_diverges_keeps_its_last_sound_checkpoint(every: str, call: Call) -> None:
    """Steps of an epoch are 5: the last one before step 40 that was written ends with 30."""
    broken = ("loss._target_=tests.training.broken.Broken", "+loss.since=38", "+loss.value=nan")
    run = ("data.batch_size=7", "trainer.max_epochs=50", f"callbacks.checkpoints.{every}", "logger=none")
    assert call("train", *broken, *run, "figures=false", "hydra.run.dir=run").code == 1
    assert RunFolder("run").read_summary()["status"] == "diverged"
    last = torch.load(RunFolder("run").checkpoint("last"), weights_only=True)
    assert last["global_step"] == 30
    assert all(bool(part.isfinite().all()) for part in last["state_dict"].values())
