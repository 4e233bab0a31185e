"""What a summary, a sweep's record and a checkpoint of somebody else's may hold."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from src.errors import UserError
from src.runs.files import read_file
from src.runs.shapes import SUMMARY, misfits, sweep_or_nothing
from src.runs.summary_file import read_summary, summary_or_nothing
from tests.compose import trained

TWO = ("data.target=[mpg,hp]", "data.features=[wt]", "folds=2")
SHAPE: dict[str, Any] = {"name": str, "rows?": [int], "figures?": {"*": (int, float, type(None))}}


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        ({"name": "a", "rows": [], "figures": {"x": 1, "y": None, "z": 0.5}, "more": object()}, []),
        ({}, [".name"]),
        ({"name": 1}, [".name"]),
        ({"name": "a", "rows": [1, True, "x"]}, [".rows.1", ".rows.2"]),
        ({"name": "a", "rows": {}, "figures": []}, [".rows", ".figures"]),
        ({"name": "a", "figures": {"x": {}, "y": "1"}}, [".figures.x", ".figures.y"]),
        ([], [""]),
        (None, [""]),
    ],
)
def test_what_does_not_fit_is_named(value: Any, odd: list[str]) -> None:
    assert list(misfits(value, SHAPE)) == odd


def test_what_runs_write_fits(tmp_path: Path) -> None:
    for name, more in (
        ("lone", ("model=linear",)),
        ("folds", ("folds=2",)),
        ("lost", ("optimizer.lr=1e10",)),
        ("two", TWO),
    ):
        trained(tmp_path / name, *more, "logger=none", "trainer.max_epochs=2")
        assert list(misfits(read_summary(tmp_path / name / "summary.json"), SUMMARY)) == []


def test_a_summary_of_another_form_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"status": "completed", "objective": {"name": "val/mse"}}))
    with pytest.raises(UserError, match="objective is not what a run has there"):
        read_summary(path)
    assert summary_or_nothing(path) == {} == summary_or_nothing(tmp_path / "nothing.json")
    path.write_text(json.dumps({"runs": {"completed": "two"}}))
    assert sweep_or_nothing(path) == {}
    path.write_text(json.dumps({"runs": {"completed": 2}, "best": None}))
    assert sweep_or_nothing(path)["runs"] == {"completed": 2}


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """It would be read for ever."""
    os.mkfifo(tmp_path / "summary.json")
    assert summary_or_nothing(tmp_path / "summary.json") == {}
    with pytest.raises(OSError, match="no regular file"):
        read_file(tmp_path / "summary.json")
