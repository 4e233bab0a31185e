"""A dozen random configurations; ``python -m tests.faults.parity`` trains seventy."""

from pathlib import Path

import pytest

from tests.faults.parity import LIBRARY, compared, draw


@pytest.mark.parametrize("number", range(12))
def test_members_of_a_random_stack_are_lone_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(LIBRARY)
    drawn = draw(number, seed=0)
    assert not compared(drawn, tmp_path), drawn.said
