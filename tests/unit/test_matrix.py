"""Tables of numbers in memory and on disk, from CSV and Parquet, are the same tables."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from src.data import matrix
from src.data.described import described
from src.data.form import Form
from src.data.order import _nearest, _ordered, split
from src.data.reader import Source, read_rows
from src.data.sources import csv
from src.data.table import NUMBER, Column, Table
from src.errors import UserError
from src.runs.folder import RunFolder
from tests.compose import trained

Files = Callable[..., list[Path]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The same numbers as CSV and as Parquet, in several row groups."""

    def write(rows: int = 3000, **more: list[object]) -> list[Path]:
        generator = np.random.default_rng(0)
        columns = {name: generator.normal(size=rows).round(6).tolist() for name in "aby"} | more
        table = pa.table(columns)
        parquet.write_table(table, tmp_path / "t.parquet", row_group_size=700)
        table.to_pandas().to_csv(tmp_path / "t.csv", index=False)
        return [tmp_path / "t.csv", tmp_path / "t.parquet"]

    return write


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read is too much for memory."""
    monkeypatch.setattr(matrix, "available", lambda: 0)


def test_parquet_gives_the_numbers_of_csv(files: Files) -> None:
    """Row by row, whole numbers too, without ever holding a file."""
    whole = list(range(3000))
    first, second = (csv(str(path), "y", ["b", "a", "n"], np.float32) for path in files(n=whole))
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.target, second.target)
    assert [column.kind for column in second.columns] == [NUMBER] * 3
    assert not isinstance(second.features, np.memmap)


def test_a_table_on_disk_is_the_one_in_memory(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, target and columns; a column that is no feature leaves the disk as well."""
    for path in files(same=[1.0] * 3000):
        before = csv(str(path), "y", None, np.float32)
        with monkeypatch.context() as patch:
            patch.setattr(matrix, "available", lambda: 0)
            after = csv(str(path), "y", None, np.float32)
        assert isinstance(after.features, np.memmap)
        np.testing.assert_array_equal(before.features, after.features)
        np.testing.assert_array_equal(before.target, after.target)
        assert after.feature_names == before.feature_names == ["a", "b"]
        assert list(after.left_out) == ["same"]


def test_a_run_on_disk_is_the_one_in_memory(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, shuffled and validated."""
    path = files()[1]
    run = ("data=csv", f"data.path={path}", "data.target=y", "data.batch_size=256", "trainer.max_epochs=2")
    first = trained(tmp_path / "memory", *run)
    monkeypatch.setattr(matrix, "available", lambda: 0)
    second = trained(tmp_path / "disk", *run)
    assert first["metrics"] == second["metrics"]
    assert RunFolder(tmp_path / "memory").read_metrics() == RunFolder(tmp_path / "disk").read_metrics()


@pytest.mark.usefixtures("no_memory")
def test_a_disk_without_room_is_said(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read, with the way out."""
    monkeypatch.setattr(matrix.shutil, "disk_usage", lambda place: SimpleNamespace(free=1))
    source = Source(files(), Form())
    with pytest.raises(UserError, match=r"more than memory holds, and .* TMPDIR names another folder"):
        read_rows(source, ["a"], "y", np.float32)


@pytest.mark.parametrize(
    ("column", "kind"),
    [([True, False] * 1500, "boolean"), ([1.0, None] * 1500, "number"), ([2**60 + 1, 5] * 1500, "number")],
)
def test_what_is_no_plain_number_is_read_the_other_way(files: Files, column: list[object], kind: str) -> None:
    """Truth, gaps, ; whole numbers that float64 rounds are rounded."""
    table = csv(str(files(odd=column)[1]), "y", ["odd", "a"], np.float64)
    assert table.columns[0].kind == kind
    assert table.columns[0].gaps == (None in column)


def test_splits_are_where_they_were() -> None:
    """Where any row may be the last of a part, it is the nearest that a list of all of them would have."""
    for rows in (2, 7, 30, 101):
        ends = np.arange(1, rows + 1)
        for wanted in (0.2, 0.5, 1, 1.5, 2.5, rows / 3, rows - 0.5, rows):
            assert _nearest(None, wanted) == _nearest(ends, wanted)
    table = Table(np.zeros((30, 1), np.float32), np.arange(30.0), ["x"], "y", "", str)
    assert _ordered(table, np.arange(30), 0)[1] is None
    assert [len(part) for part in split(table, 0.2, 0.1, 0)] == [21, 6, 3]
    assert [len(split(table, 0.2, 0.1, 0, (place, 4))[1]) for place in range(4)] == [7, 6, 7, 7]


def test_many_values_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting a column of many rows takes longer than reading it; few different ones are still counted."""
    monkeypatch.setattr("src.data.described._COUNTED", 8)
    features = np.column_stack([np.linspace(-1, 1, 100), np.arange(100) % 3])
    features[5, 0] = np.nan
    columns = [Column("x", gaps=True), Column("few")]
    table = Table(features, np.arange(100.0), ["x", "few"], "y", "", str, columns=columns)
    lines = list(described(table))
    assert lines[1].split()[:7] == ["x", "number", "many", "1", "-1", "to", "1"]
    assert lines[2].split()[:6] == ["few", "number", "3", "0", "to", "2"]
