"""Sweeps whose jobs are trained as stacks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.sweeping.storage import forget
from tests.commands import run_here

Sweep = Callable[..., str]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sweep:
    """``python -m src.train -m`` in this process and in an empty folder; returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr("hydra._internal.utils.is_under_debugger", lambda: False)

    def run(folder: str, *arguments: str, code: int = 0) -> str:
        forget()
        capfd.readouterr()
        found = run_here("train", "-m", f"hydra.sweep.dir={folder}", *arguments)
        out, err = capfd.readouterr()
        assert found == code, out + err
        return out + err

    return run


def stacked(*arguments: str) -> tuple[str, ...]:
    return ("hydra/launcher=stacked", "logger=none", "trainer.max_epochs=3", *arguments)


def read(path: Path) -> dict[str, Any]:
    return json.loads((path / "summary.json").read_text())
