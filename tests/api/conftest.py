"""What tests of the Python interface share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    yield tmp_path
    sys.modules.pop("src.train", None)  # other tests run it as a program


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Numbers, words with gaps, dates, and an index that is no column."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=80), "town": generator.choice(["A", "B", None], 80)})
    frame["day"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(generator.integers(0, 500, 80), "D")
    frame["y"] = 3 * frame.x + (frame.town == "B") + generator.normal(0, 0.1, 80)
    return frame.set_index(pd.Index([f"r{number}" for number in range(80)]))
