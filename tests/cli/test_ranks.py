"""The processes of one run: started by the first, ended with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call
from tests.compose import trained
from tests.parity.test_baselines import weights

ROOT = Path(__file__).parents[2]
DDP = (sys.executable, "-m", "src.train", "trainer=ddp", "trainer.accelerator=cpu")
LONG = ("trainer.max_epochs=1000000", "logger=none", "figures=false")


def others(process: int) -> list[int]:
    """Children of a process."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_there(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    run = ("data.batch_size=8", "trainer.max_epochs=5", "trainer.accelerator=cpu", "trainer.precision=64-true")
    command = (*DDP, *run, f"hydra.run.dir={tmp_path / 'two'}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout.count("completed after 5 epochs (20 steps)") == done.stdout.count("several devices") == 1
    trained(tmp_path / "one", *run)
    for two, one in zip(weights(tmp_path / "two"), weights(tmp_path / "one"), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-12, atol=0)
    folder = RunFolder(tmp_path / "two")
    assert folder.read_metrics()["epoch"] == [1, 2, 3, 4, 5]
    written = {path.name.partition(".")[0] for path in folder.path.iterdir()}
    assert written == {"", "checkpoints", "events", "figures", "metrics", "summary", "train"}
    assert len(list(folder.path.glob("events*"))) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds children in /proc")
@pytest.mark.parametrize("whom", ["all processes", "the first", "the second is killed"])
def test_signals_end_all_processes(tmp_path: Path, whom: str) -> None:
    folder = RunFolder(tmp_path / "run")
    command = (*DDP, *LONG, f"hydra.run.dir={folder.path}")
    first = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    children: list[int] = []
    try:
        until = time.monotonic() + 60
        while not folder.metrics.is_file() and first.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        children = others(first.pid)
        assert len(children) == 1
        if whom == "all processes":
            os.killpg(first.pid, signal.SIGINT)
        elif whom == "the first":
            first.send_signal(signal.SIGINT)
        else:
            os.kill(children[0], signal.SIGKILL)
        _, said = first.communicate(timeout=45)
        until = time.monotonic() + 10
        while any(map(is_there, children)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not any(map(is_there, children))
    finally:
        for process in (first.pid, *children):
            if is_there(process):
                os.kill(process, signal.SIGKILL)
    summary = folder.read_summary()
    if whom == "the second is killed":
        assert (first.returncode, summary["status"]) == (1, "failed")
        assert "process 2 of 2 failed with exit code -9" in summary["message"]
    else:
        assert first.returncode == 130, said
        assert "Traceback" not in said
        assert summary["status"] == "interrupted"
        assert summary["epochs"] == len(folder.read_metrics()["epoch"])
        assert (folder.checkpoints / "last.ckpt").is_file()


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_process_ends_all(tmp_path: Path, rank: int) -> None:
    mine = ("+callbacks.mine._target_=tests.cli.pair.Fails", f"+callbacks.mine.rank={rank}")
    command = (*DDP, *LONG, *mine, f"hydra.run.dir={tmp_path / 'run'}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (1 if rank else 2)  # an error of the user's own code is a line where it is seen
    assert f"RuntimeError: rank {rank} has had enough" in done.stderr
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary["status"] == "failed"
    assert ("process 2 of 2 failed with exit code 1" if rank else "has had enough") in summary["message"]


def test_a_sweep_prunes_runs_of_two_processes(tmp_path: Path) -> None:
    """One after the other in one process, each with a second process of its own; the second run is the worse one."""
    command = (
        *DDP, "-m", "sweep=lr", "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", "logger=none",
        "hydra.sweeper.n_trials=2", "data.val_fraction=0.25", "trainer.max_epochs=20", f"hydra.sweep.dir={tmp_path}",
    )  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    ends = [RunFolder(tmp_path / str(number)).read_summary() for number in (0, 1)]
    assert [end["status"] for end in ends] == ["completed", "pruned"]
    assert ends[1]["epochs"] < 20


def test_a_strategy_that_hands_nothing_back_is_refused(call: Call, tmp_path: Path) -> None:
    answer = call("train", "trainer=ddp", "trainer.accelerator=cpu", "trainer.strategy=ddp_spawn", "hydra.run.dir=run")
    assert_refused(answer, "trainer.strategy=ddp_spawn: expected auto or ddp")
    assert not (tmp_path / "run").exists()
