"""Predictions of files that are read a piece at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.data import arrow_csv, sources, stream
from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.predict import predict
from src.runs.restore import load_config, load_predictor
from tests.commands import everything_under
from tests.compose import trained

ROWS = 5000


def table() -> pd.DataFrame:
    """Numbers, words, gaps, and dates whose order of day and month only the last row decides."""
    generator = np.random.default_rng(0)
    day = generator.integers(1, 13, ROWS)
    month = generator.integers(1, 13, ROWS)
    day[-1], month[-1] = 31, 1
    frame = pd.DataFrame(
        {
            "size": generator.normal(100, 20, ROWS).round(2),
            "town": [f"town {place}" for place in generator.integers(0, 15, ROWS)],
            "sold": [f"{d:02}/{m:02}/2021" for d, m in zip(day, month, strict=True)],
        }
    )
    frame.loc[::7, "size"] = None
    frame["price"] = frame["size"].fillna(100) + day
    return frame


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene")
    table().to_csv(path / "rows.csv", index=False)
    options = (f"data.path={path}/rows.csv", "data.target=price", "trainer.max_epochs=1", "logger=none")
    trained(path / "run", "data=csv", *options)
    return path / "run"


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pieces as small as they may be, and their sizes once they are read."""
    monkeypatch.setattr(stream, "_CELLS", 1)
    monkeypatch.setattr(stream, "_BATCH", 1000)
    monkeypatch.setattr(arrow_csv, "_PIECE", 3000)
    seen: list[int] = []
    read = stream.Stream.pieces

    def pieces(self: stream.Stream, columns: list[str], rows: int) -> Any:
        seen.clear()
        for piece in read(self, columns, rows):
            seen.append(piece.num_rows)
            yield piece

    monkeypatch.setattr(stream.Stream, "pieces", pieces)
    return seen


@pytest.mark.parametrize("form", ["csv", "parquet", "csv.gz", "files"])
def test_pieces_are_the_whole(form: str, run: Path, pieces: list[int], tmp_path: Path, capsys: Any) -> None:
    """The same bits as from a table in memory, other columns as they stood, and the counts of all."""
    frame = table().drop(columns="price").assign(key=[f"00{row}" for row in range(ROWS)], note='a,"b"\n')
    frame["count"] = pd.array([None if row % 2000 == 1999 else row for row in range(ROWS)], dtype="Int64")
    frame.loc[4000:4001, "town"] = "atlantis"
    rows = tmp_path / f"new.{form}"
    if form == "parquet":
        frame.to_parquet(rows)
    elif form == "files":
        rows = tmp_path / "new*.csv"
        frame.iloc[:3000].to_csv(tmp_path / "new1.csv", index=False)
        frame.iloc[3000:, ::-1].to_csv(tmp_path / "new2.csv", index=False)
    else:
        frame.to_csv(rows, index=False)
    written = predict(str(run), str(rows), str(tmp_path / "out.csv"), "best")
    assert pieces == [2048, 2048, 904]
    found = pd.read_csv(written, dtype=str, keep_default_na=False)
    assert found["key"].tolist() == frame["key"].tolist()
    assert set(found["note"]) == {'a,"b"\n'}
    assert found["count"].tolist() == ["" if count is pd.NA else str(count) for count in frame["count"]]
    whole = sources.csv(str(run.parent / "rows.csv"), "price", None, np.float64)
    predictor = load_predictor(RunFolder(run), load_config(RunFolder(run)), "best")
    differ = found["price_predicted"].astype(float) != predictor.on(whole.columns)(whole.features)[:, 0]
    assert set(np.flatnonzero(differ)) <= {4000, 4001}
    said = "715 gaps filled as in training, 2 categories not met in training, 3 other columns carried along"
    assert f"{ROWS} predictions ({said})" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("size", "wide", "row 4501 (line 4502), column 'size': found the text 'wide', expected a number"),
        ("sold", "", "row 4501 (line 4502), column 'sold': found an empty cell, expected a date"),
        ("sold", "soon", "row 1 (line 2), column 'sold': found '"),
    ],
)
def test_a_mistake_far_down(column: str, cell: str, said: str, run: Path, pieces: list[int], tmp_path: Path) -> None:
    """The row that it is in; nothing is left of what was written before it, and what stood there stands."""
    frame = table().drop(columns="price").astype({"size": object})
    frame.loc[4500, column] = cell
    frame.to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "old.csv").write_text("old\n")
    for out in ("a/b/out.csv", "old.csv"):
        with pytest.raises(UserError) as error:
            predict(str(run), str(tmp_path / "new.csv"), str(tmp_path / out), "best")
        assert said in str(error.value)
        assert everything_under(tmp_path) == {"new.csv", "old.csv"}
    assert (tmp_path / "old.csv").read_text() == "old\n"


def test_an_input_may_be_its_output(run: Path, pieces: list[int], tmp_path: Path) -> None:
    """It is read to the end before it is replaced; through a link, which stays one."""
    table().drop(columns="price").to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "link.csv").symlink_to("rows.csv")
    predict(str(run), str(tmp_path / "link.csv"), str(tmp_path / "link.csv"), "best")
    assert (tmp_path / "link.csv").is_symlink()
    assert len(pd.read_csv(tmp_path / "rows.csv")["price_predicted"]) == ROWS


def test_a_file_that_breaks_off(run: Path, tmp_path: Path) -> None:
    """Compressed, and cut: the input is named, not the output."""
    table().drop(columns="price").to_csv(tmp_path / "new.csv.gz", index=False)
    whole = (tmp_path / "new.csv.gz").read_bytes()
    (tmp_path / "new.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"new\.csv\.gz: "):
        predict(str(run), str(tmp_path / "new.csv.gz"), str(tmp_path / "out.csv"), "best")
    assert everything_under(tmp_path) == {"new.csv.gz"}
