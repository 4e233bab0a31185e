"""A few of each fault; ``python -m tests.faults`` does hundreds."""

import random
from pathlib import Path

import pytest

from tests.faults import __main__ as table
from tests.faults import disk, ends, kills, many
from tests.faults.row import Row

ROWS = [kills.ROWS[0], kills.ROWS[3], ends.ROWS[1], many.ROWS[1], *disk.rows(Path("/nowhere"))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault(row: Row, tmp_path: Path) -> None:
    """Every promise is kept, and the fault was done."""
    tally = row.run(tmp_path, 2, random.Random(0))
    assert tally.unmet == []
    assert tally.count == 2


def test_the_table_has_every_row() -> None:
    """Those of the README, with so many of each as it says there."""
    rows = {row.fault: row.count for row in table.rows(Path("/nowhere"))}
    assert len(rows) == 13
    assert rows["SIGKILL of a lone run"] + rows["SIGKILL of a stack of 8"] == 200
    assert rows["bits flipped, files cut"] == 500
