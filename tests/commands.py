"""The doors, called as ``python -m src.NAME`` would: in this process, or in one of their own."""

import gc
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

Call = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was said about a mistake: the lines of stderr that are not blank."""
        return [line for line in self.err.splitlines() if line.strip()]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """``call("train", "optimizer.lr=0.1")`` inside ``tmp_path``; as a process, but without its start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    # Hydra looks for a debugger in every frame of the stack, which is deep under pytest.
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)

    def _call(door: str, *arguments: str) -> Answer:
        capfd.readouterr()
        code = run_here(door, *arguments)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return _call


def run_here(door: str, *arguments: str) -> int:
    """Runs a door in this process and in the current folder; returns its exit code."""
    with as_a_process(f"src.{door}", arguments):
        try:
            runpy.run_module(f"src.{door}", run_name="__main__")
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


@contextmanager
def as_a_process(module: str, arguments: tuple[str, ...]) -> Iterator[None]:
    """Arguments, and everything that Hydra and a door change for the whole process, put back afterwards."""
    root = logging.getLogger()
    before = sys.argv, sys.excepthook, root.handlers[:], root.level, HydraConfig.instance().cfg
    collector = gc.get_threshold()
    sys.argv = [module, *arguments]
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        for handler in root.handlers:
            if handler not in before[2]:
                handler.close()
        sys.argv, sys.excepthook, root.handlers, level, HydraConfig.instance().cfg = before
        root.setLevel(level)
        gc.set_threshold(*collector)
        gc.unfreeze()
        GlobalHydra.instance().clear()


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """A Python of its own with these arguments, started in ``folder``."""
    quiet = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=quiet | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: "subprocess.Popen[str]", seconds: float = 60) -> Answer:
    """Waits for a process; it is killed when it takes longer."""
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Answer(process.returncode, out, err)


def everything_under(folder: Path) -> set[str]:
    """Every file and folder below, by its relative path."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
