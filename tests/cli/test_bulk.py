"""A few of the tables and folders that ``python -m tests.faults.bulk`` makes up by the thousand."""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from src.data.roles import _precision
from tests.commands import Call
from tests.faults.bulk import answered, collected, try_folder, try_table, whole_folders
from tests.faults.bulk_tables import table_file

KINDS = st.tuples(st.sampled_from(("lone", "mixed", "folds", "sweep")), st.randoms(use_true_random=False))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine decides nothing."""
    monkeypatch.setattr("tests.faults.bulk.SECONDS", 900)


def test_tables(call: Call) -> None:
    endings, complaints = collected(table_file(), try_table, 12, seed=5)
    assert complaints == {}
    assert endings["success"]
    assert endings["refused"]


def test_folders(call: Call, tmp_path: Path) -> None:
    whole = whole_folders(tmp_path)
    endings, complaints = collected(KINDS, lambda made, scratch: try_folder(made, scratch, whole), 12, seed=5)
    assert complaints == {}
    assert endings["refused"]


def test_what_is_wrong_would_be_seen(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback, a third line and a hang each are a complaint."""
    assert answered("evaluate", "run=nowhere") == ("refused", "")
    monkeypatch.setattr("tests.faults.bulk.run_here", lambda *_: print("a\nb\nc", file=sys.stderr) or 2)
    assert answered("evaluate")[0] == "unanswered"
    monkeypatch.setattr("tests.faults.bulk.run_here", lambda *_: 1 // 0)
    assert answered("evaluate") == ("raised", "raised ZeroDivisionError: integer division or modulo by zero")
    monkeypatch.setattr("tests.faults.bulk.SECONDS", 1)
    monkeypatch.setattr("tests.faults.bulk.run_here", lambda *_: time.sleep(5))
    assert answered("evaluate")[0] == "slow"


def test_a_lone_row_of_gaps_says_one_thing() -> None:
    """NumPy's warning about nothing but gaps came before the answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _precision([np.array([np.nan])], np.float32) is np.float32
        assert _precision([np.array([1e9, 1e9 + 1, np.nan])], np.float32) is np.float64
