"""Tables of words, dates and gaps: read, typed, split and encoded."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from src.data import arrow_csv, dates, reader, sources
from src.data.categories import MOST, ONE_HOT
from src.data.encoder import Encoder, Shape
from src.data.form import Form
from src.data.numbers import Numbers
from src.data.order import split
from src.data.partition import Partition
from src.data.table import BOOLEAN, CATEGORY, DATE, MOMENT, NUMBER, Column, Table
from src.data.target import Target
from src.errors import UserError
from src.models.embedding import Embedded
from tests.compose import trained


def mixed(rows: int = 120) -> pd.DataFrame:
    """A column of each kind, with gaps in some, and a target that most of them decide."""
    generator = np.random.default_rng(0)
    towns = np.array([f"town {i}" for i in range(15)])
    frame = pd.DataFrame(
        {
            "size": generator.normal(100, 20, rows).round(2),
            "heating": generator.choice(["gas", "oil", "wood"], rows),
            "garden": generator.choice(["yes", "no"], rows),
            "sold": (np.datetime64("2021-03-01") + generator.integers(0, 900, rows)).astype(str),
            "town": generator.choice(towns, rows),
        }
    )
    frame["price"] = (2 * frame["size"] + 30 * (frame["garden"] == "yes") + generator.normal(0, 1, rows)).round(2)
    for place, name in enumerate(frame.columns[:5]):
        frame.loc[place :: 11 + place, name] = None
    return frame


def read(path: Path, content: str | bytes, target: str = "y", **options: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sources.csv(str(path), target, options.pop("features", None), np.float32, **options)


def fitted(table: Table, scaling: str = "standard", seed: int = 0) -> Partition:
    return Partition(table, 0.2, 0.2, scaling, "standard", seed)


def encoded(numbers: Numbers, raw: np.ndarray) -> np.ndarray:
    """Raw columns as a net sees them."""
    found = np.empty((len(raw), numbers.width))
    numbers.encode(raw, found)
    return found


def column(table: Table, name: str) -> tuple[str, list[Any]]:
    """A column's kind, and its values as they stood in the file."""
    own = table.columns[table.feature_names.index(name)]
    numbers = table.features[:, table.feature_names.index(name)].tolist()
    return own.kind, [None if v != v else own.values[int(v)] if own.values else round(v, 4) for v in numbers]


FORMS = {
    "semicolons": ("a;b;y\n1,5;x;2\n2,5;y;3\n3;x;4\n", {}),
    "tabs": ("a\tb\ty\n1.5\tx\t2\n2.5\ty\t3\n3\tx\t4\n", {}),
    "a decimal comma that is given": ('a,b,y\n"1,5",x,2\n"2,5",y,3\n3,x,4\n', {"decimal": ","}),
    "utf-16": ("a,b,y\n1.5,x,2\n2.5,y,3\n3,x,4\n".encode("utf-16"), {}),
    "cr": ("a,b,y\r1.5,x,2\r2.5,y,3\r3,x,4\r", {}),
    "crlf and a byte order mark": ("\ufeffa,b,y\r\n1.5,x,2\r\n2.5,y,3\r\n3,x,4\r\n", {}),
    "single quotes": ("a,b,y\n1.5,'x',2\n'2.5',y,3\n3,'x',4\n", {"quote": "'"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_file_is_read_however_it_is_written(tmp_path: Path, name: str) -> None:
    content, options = FORMS[name]
    table = read(tmp_path / "rows.csv", content, **options)
    assert column(table, "a") == (NUMBER, [1.5, 2.5, 3])
    assert column(table, "b") == (CATEGORY, ["x", "y", "x"])
    assert table.target.tolist() == [[2], [3], [4]]


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        ('a,y\n"1,234.5",1\n"12,345",2\n7,3\n', [1234.5, 12345, 7]),
        ("a;y\n1.234,5;1\n12.345.678,0;2\n7;3\n", [1234.5, 12345678, 7]),
        ("a;y\n1,25;1\n12,345;2\n7;3\n", [1.25, 12.345, 7]),
    ],
)
def test_thousands_are_told_from_decimals(tmp_path: Path, content: str, numbers: list[float]) -> None:
    assert read(tmp_path / "rows.csv", content).features[:, 0].tolist() == pytest.approx(numbers)


def test_western_text_without_utf_8_is_read(tmp_path: Path) -> None:
    table = read(tmp_path / "rows.csv", "größe,b,y\n1,ä,2\n2,ö,3\n3,ä,4\n".encode("latin-1"))
    assert column(table, "b") == (CATEGORY, ["ä", "ö", "ä"])
    assert table.feature_names == ["größe", "b"]


def test_every_way_to_bring_a_table_is_the_same_table(tmp_path: Path) -> None:
    frame = mixed()
    text = frame.to_csv(index=False)
    one = read(tmp_path / "rows.csv", text, "price")
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    with pa.output_stream(str(tmp_path / "rows.csv.zst"), compression="zstd") as file:
        file.write(text.encode())
    dated = frame.assign(sold=pd.to_datetime(frame["sold"]), garden=frame["garden"].map({"yes": True, "no": False}))
    dated.to_parquet(tmp_path / "rows.parquet")
    frame[:50].to_csv(tmp_path / "part-1.csv", index=False)
    frame[50:][frame.columns[::-1]].to_csv(tmp_path / "part-2.csv", index=False)  # columns in another order
    others = {
        name: sources.csv(str(tmp_path / name), "price", None, np.float32)
        for name in ("rows.csv.gz", "rows.csv.zst", "rows.parquet", "part-*.csv")
    }
    others["pandas"] = sources.frame(frame, "price", None, np.float32)
    others["arrow"] = sources.frame(pa.Table.from_pandas(dated), "price", None, np.float32)
    assert [own.kind for own in one.columns] == [NUMBER, CATEGORY, BOOLEAN, DATE, CATEGORY]
    assert all(own.gaps for own in one.columns)
    for name, other in others.items():
        assert other.columns == one.columns, name
        np.testing.assert_array_equal(other.features, one.features, name)
        np.testing.assert_array_equal(other.target, one.target, name)
    assert others["part-*.csv"].sha256 != one.sha256
    assert len(others["pandas"].sha256) == 64


def test_files_of_other_columns_are_told(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,y\n1,2\n")
    (tmp_path / "2.csv").write_text("b,y\n1,2\n")
    with pytest.raises(UserError, match=r"2\.csv: its columns are not those of .*1\.csv: 'a' is in one only"):
        sources.csv(str(tmp_path / "*.csv"), "y", None, np.float32)


@pytest.mark.parametrize("gap", ["", "NA", "NaN", "nan", "null", "?", " ", "-9", "none"])
def test_gaps(tmp_path: Path, gap: str) -> None:
    """In a feature they are gaps; rows without a target are left out, and counted."""
    content = f"a,b,y\n1,x,2\n{gap},{gap},3\n3,z,{gap}\n4,z,5\n"
    table = read(tmp_path / "rows.csv", content, missing=["-9", "none"])
    assert column(table, "a") == (NUMBER, [1, None, 4])
    assert column(table, "b") == (CATEGORY, ["x", None, "z"])
    assert (table.target.tolist(), table.dropped) == ([[2], [3], [5]], 1)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["true", "False", "TRUE"], BOOLEAN),
        (["no", "yes", "no"], BOOLEAN),
        (["no", "maybe", "maybe"], CATEGORY),
        (["yes", "yes", "no!"], CATEGORY),
        (["2024-02-29", "2023-01-01", "2023-01-01"], DATE),
        (["2024-02-29 12:30:00", "2023-01-01T00:00:00", "2023-01-01"], MOMENT),
        (["29.02.2024", "01.01.2023", "1.1.2023"], DATE),
        (["02/13/2024", "01/01/2023", "01/01/2023"], DATE),
        (["13/02/2024", "01/01/2023", "01/01/2023"], DATE),
        (["2024-02", "2023-01", "2023-01"], DATE),
        (["+1", "-1.5e3", ".5"], NUMBER),
        (["007", "x1", "x1"], CATEGORY),
        (["1-2", "3-4", "3-4"], CATEGORY),
    ],
)
def test_kinds(tmp_path: Path, cells: list[str], kind: str) -> None:
    table = read(tmp_path / "rows.csv", "a,b,y\n" + "".join(f"{cell},{i},{i * i}\n" for i, cell in enumerate(cells)))
    assert table.columns[0].kind == kind


def test_what_tells_nothing_is_left_out_and_named(tmp_path: Path) -> None:
    rows = [f"{i},{i * i % 7},5,note {i},{i + 0.5},,{i % 3},{i + 0.5}" for i in range(1, 25)]
    content = "id,a,constant,note,copy,empty,dropped,y\n" + "\n".join(rows)
    table = read(tmp_path / "rows.csv", content, drop=["dropped"])
    assert table.feature_names == ["a"]
    assert {name: reason.split(":")[0] for name, reason in table.left_out.items()} == {
        "id": "an id",
        "constant": "constant",
        "note": "an id",
        "copy": "a copy of the target",
        "empty": "all gaps",
        "dropped": "data.drop",
    }
    kept = read(tmp_path / "rows.csv", content, features=["id", "copy"])
    assert kept.feature_names == ["id", "copy"], "whoever names a column wants it"


def test_roles_that_are_asked_for(tmp_path: Path) -> None:
    content = "code,x,y\n" + "".join(f"0{i % 3},{i},{i}\n" for i in range(9))
    table = read(tmp_path / "rows.csv", content, categorical=["code"], features=["code"])
    assert table.columns == [Column("code", CATEGORY, ("00", "01", "02"))]
    words = content.replace("00", "zero").replace("01", "one").replace("02", "two")
    with pytest.raises(UserError, match=r"row 1 \(line 2\), column 'code': found the text 'zero', expected a number$"):
        read(tmp_path / "rows.csv", words, numeric=["code"])
    with pytest.raises(UserError, match=r"no column 'cod' \(data.categorical\); did you mean 'code'"):
        read(tmp_path / "rows.csv", content, categorical=["cod"])
    with pytest.raises(UserError, match=r"no column is of use as a feature: x \(a copy of the target\)"):
        read(tmp_path / "rows.csv", content, drop=["code"])


@pytest.mark.parametrize("words", [51, 10])
def test_a_column_of_numbers_that_becomes_words_is_refused_by_row(tmp_path: Path, words: int) -> None:
    cells = [*map(str, range(100)), *["x"] * words]
    content = "a,y\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))
    with pytest.raises(
        UserError, match=r"row 101 \(line 102\), column 'a': found the text 'x'.*data.categorical=\[a\]"
    ):
        read(tmp_path / "rows.csv", content)


@pytest.mark.parametrize("name", ["a $b_$", "^\\frac", 'quo"te', "two\nlines", "k=v", " ", "[x]", "große", "a,b"])
def test_names_hold_anything(tmp_path: Path, name: str) -> None:
    """From training with figures to predictions."""
    from src.runs.predict import predict

    pd.DataFrame({name: np.arange(30.0) % 7, "w": ["u", "v", "w"] * 10, f"{name}2": np.arange(30) * 2.5}).to_csv(
        tmp_path / "rows.csv", index=False
    )
    options = (f"data.path={tmp_path}/rows.csv", "model=mlp", "model.hidden=[4]", "trainer.max_epochs=2", "logger=none")
    target = f"{name}2"
    trained(tmp_path / "run", "data=csv", f"data.target='{target}'", *options, figures=True)
    assert {path.name for path in (tmp_path / "run" / "figures").iterdir()} == {
        "curves.png",
        "fit.png",
        "residuals.png",
    }
    found = pd.read_csv(predict(str(tmp_path / "run"), str(tmp_path / "rows.csv"), None, "best"))
    assert list(found.columns) == [name, "w", f"{name}2", f"{name}2_predicted"]


def keyed(**keys: Any) -> Table:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(100, 2)).astype(np.float32)
    return Table(features, features.sum(axis=1).astype(np.float64), ["a", "b"], "y", "test", str, **keys)


@pytest.mark.parametrize("fold", [None, (0, 3), (2, 3)])
def test_groups_stay_whole(fold: tuple[int, int] | None) -> None:
    groups = np.arange(100) % 12.0
    train, val, test = split(keyed(group=groups), 0.2, 0.2, 0, fold)
    owners = [set(groups[part]) for part in (train, val, test)]
    assert all(owners)
    assert not owners[0] & (owners[1] | owners[2])
    assert not owners[1] & owners[2]
    assert sorted(np.concatenate([train, val, test])) == list(range(100))
    assert abs(len(test) - 20) <= 9


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match="folds=5: expected at most as many as there are groups"):
        [split(keyed(group=np.arange(100) % 3.0), 0.0, 0.0, 0, (place, 5)) for place in range(5)]


def test_the_last_times_are_for_the_test() -> None:
    times = np.random.default_rng(0).permutation(50).repeat(2).astype(float)
    train, val, test = split(keyed(time=times), 0.2, 0.1, 0)
    assert times[train].max() < times[val].min()
    assert times[val].max() < times[test].min()
    assert [len(part) for part in (train, val, test)] == [70, 20, 10]


def test_a_column_of_parts_decides() -> None:
    parts = np.array(["train"] * 60 + ["test"] * 30 + ["val"] * 10, dtype=object)
    train, val, test = split(keyed(split=parts), 0.15, 0.15, 0)
    assert (set(parts[train]), set(parts[val]), set(parts[test])) == ({"train"}, {"val"}, {"test"})
    assert [len(part) for part in (train, val, test)] == [60, 10, 30]
    parts[90:] = "train"
    train, val, test = split(keyed(split=parts), 0.2, 0.15, 0)  # the column names no validation rows: some are drawn
    assert [len(part) for part in (train, val, test)] == [56, 14, 30]
    with pytest.raises(UserError, match=r"data.split: gives 30 test rows, found data.test_fraction=0"):
        split(keyed(split=parts), 0.2, 0, 0)


def test_split_columns_are_read_from_the_file(tmp_path: Path) -> None:
    content = "a,who,when,part,y\n" + "".join(
        f"{i},p{i % 4},2024-01-{i + 1:02},{['train', 'train', 'Valid', 'test'][i % 4]},{i * i}\n" for i in range(20)
    )
    table = read(tmp_path / "rows.csv", content, split="part")
    assert table.feature_names == ["a", "who", "when"]
    assert table.left_out == {"part": "data.split"}
    assert table.split is not None
    assert table.split.tolist() == ["train", "train", "val", "test"] * 5
    assert len(set(read(tmp_path / "rows.csv", content, group="who", drop=["part"]).group)) == 4
    when = read(tmp_path / "rows.csv", content, time="when", drop=["part"]).time
    assert when is not None
    assert np.diff(when).tolist() == [1] * 19
    with pytest.raises(UserError, match=r"data.split=who: expected train, val and test in that column, found 'p0'"):
        read(tmp_path / "rows.csv", content, split="who")
    with pytest.raises(UserError, match=r"data.group=who and data.time=when: expected one of them"):
        read(tmp_path / "rows.csv", content, group="who", time="when")


@pytest.mark.parametrize("scaling", ["standard", "quartile", "robust", "quantile"])
@pytest.mark.parametrize("target_scaling", ["standard", "log", "yeo-johnson"])
def test_nothing_of_a_held_back_row_reaches_an_encoder(scaling: str, target_scaling: str) -> None:
    """Numbers, words, dates, gaps and targets of validation and test rows are poisoned; the encoder is the same."""
    clean, poisoned = (sources.frame(mixed(), "price", None, np.float32) for _ in range(2))
    part = Partition(clean, 0.2, 0.2, scaling, target_scaling, 3)
    held = np.concatenate([part.rows["val"], part.rows["test"]])
    generator = np.random.default_rng(0)
    for place, own in enumerate(poisoned.columns):
        values = (
            generator.integers(0, len(own.values), len(held)) if own.values else generator.normal(0, 1e9, len(held))
        )
        poisoned.features[held, place] = np.where(generator.random(len(held)) < 0.3, np.nan, values)
    target = poisoned.target.copy()
    target[held, 0] = generator.lognormal(9, 3, len(held))
    poisoned = replace(poisoned, target=target)
    again = Partition(poisoned, 0.2, 0.2, scaling, target_scaling, 3)
    assert str(again.encoder.state_dict()) == str(part.encoder.state_dict())
    for one, other in zip(part.encoded("train"), again.encoded("train"), strict=True):
        assert torch.equal(one, other)


def test_an_encoder_comes_back_from_plain_values(tmp_path: Path) -> None:
    table = sources.frame(mixed(), "price", None, np.float32)
    encoder = fitted(table).encoder
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    again = Encoder.from_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    everything = np.arange(len(table))
    for one, other in zip(
        *(each.encode_rows(table, everything, each.recoder(table.columns)) for each in (encoder, again)), strict=True
    ):
        assert torch.equal(one, other)
    assert again.shape == encoder.shape == Shape.of(table.columns)
    assert torch.isfinite(encoder.encode_rows(table, everything, encoder.recoder(table.columns))[0]).all()


def test_categories_become_columns_or_codes() -> None:
    """Whatever rows are trained on, the shape is the table's; what the training rows lack is unknown."""
    words = np.array([f"w{i}" for i in range(ONE_HOT)] * 20)
    many = np.array([f"m{i}" for i in range(ONE_HOT + 1)] * 18)
    frame = pd.DataFrame({"few": words, "many": many, "y": np.arange(180.0)})
    table = sources.frame(frame, "y", None, np.float32)
    train = np.flatnonzero((words != "w3") & (many != "m4"))
    encoder = Encoder.fit(table, train, "standard", "standard")
    recode = encoder.recoder(table.columns)
    assert recode is not None
    encoded = encoder.encode(recode(table.features), np.float32).numpy()
    assert encoded.shape == (180, ONE_HOT + 1)
    assert (encoder.shape.width, encoder.shape.codes, encoder.shape.entries) == (ONE_HOT + 1, 1, ONE_HOT + 3)
    one_hot, code = encoded[:, :ONE_HOT], encoded[:, ONE_HOT]
    assert (one_hot.sum(axis=1) == (words != "w3")).all()
    assert (code[many == "m4"] == 0).all()
    assert len(np.unique(code[many != "m4"])) == ONE_HOT
    assert code.max() < encoder.shape.entries
    # New rows, whose places of values are others.
    new = [Column("few", CATEGORY, ("w8", "zebra")), Column("many", CATEGORY, ("m9",), gaps=True)]
    recode = encoder.recoder(new)
    assert recode is not None
    rows = encoder.encode(recode(np.array([[0.0, 0.0], [1.0, np.nan]])), np.float32).numpy()
    np.testing.assert_array_equal(rows[0], encoded[(words == "w8") & (many == "m9")][0])
    assert not rows[1].any(), "neither an unknown value nor a gap was met in training"


def test_a_million_values_leave_the_frequent_ones() -> None:
    count = MOST + 500
    words = pd.Series([f"k{i}" for i in range(count)] + ["often"] * 3 + [f"k{i}" for i in range(MOST - 1)])
    table = sources.frame(pd.DataFrame({"k": words, "y": np.arange(float(len(words)))}), "y", None, np.float32)
    encoder = Encoder.fit(table, np.arange(len(table)), "standard", "standard")
    assert len(encoder.categories[0].values) == MOST
    assert "often" in encoder.categories[0].values
    assert "k0" in encoder.categories[0].values
    assert f"k{count - 1}" not in encoder.categories[0].values


def test_gaps_are_the_median_and_a_flag() -> None:
    raw = np.array([[1.0, 5.0], [np.nan, 6.0], [3.0, 7.0], [10.0, np.nan]])
    gaps = np.array([0, 1])
    numbers = Numbers.fit(lambda: [raw[:3]], 3, gaps, gaps, "standard")
    found = encoded(numbers, raw)
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found[1, 0], (2 - 2) / 1)
    assert found[:, 2].tolist() == [0, 1, 0, 0]
    assert found[:, 3].tolist() == [0, 0, 0, 0], "the training rows had no gap there: the flag says nothing"
    np.testing.assert_allclose(found[:3, 1], (raw[:3, 1] - 6) / raw[:3, 1].std())
    np.testing.assert_allclose(found[3, 1], 0)


def test_robust_scaling_is_that_of_the_paper() -> None:
    raw = np.column_stack([np.arange(9.0), [0, 0, 0, 0, 0, 0, 0, 4, 8.0], np.full(9, 7.0)])
    none = np.empty(0, np.int64)
    found = encoded(Numbers.fit(lambda: [raw], 9, none, none, "robust"), raw)
    x = (raw[:, 0] - 4) / 4
    np.testing.assert_allclose(found[:, 0], x / np.sqrt(1 + (x / 3) ** 2))
    x = raw[:, 1] / 4  # the quartiles are equal: half the range
    np.testing.assert_allclose(found[:, 1], x / np.sqrt(1 + (x / 3) ** 2))
    assert not found[:, 2].any()


def test_quantiles_become_normal() -> None:
    raw = np.random.default_rng(0).lognormal(0, 2, (5000, 1))
    none = np.empty(0, np.int64)
    numbers = Numbers.fit(lambda: [raw], len(raw), none, none, "quantile")
    found = encoded(numbers, raw)[:, 0]
    assert abs(found.mean()) < 0.02
    assert abs(found.std() - 1) < 0.02
    assert (np.diff(found[np.argsort(raw[:, 0])]) >= 0).all()
    assert np.isfinite(encoded(numbers, np.array([[-1e30], [1e30]]))).all()


def test_dates_become_parts() -> None:
    days = (np.array(["2024-12-31", "2024-01-01", "2025-01-01"], "datetime64[D]") - np.datetime64(0, "D")).astype(float)
    found = dates.encode(np.append(days, np.nan), DATE)
    assert found.shape == (4, 6)
    assert found[:3, 0].tolist() == days.tolist()
    assert found[:3, 1].tolist() == [2024, 2024, 2025]
    np.testing.assert_allclose(found[0, 2:4], found[1, 2:4], atol=0.02)  # the last day of a year is beside the first
    angle = 2 * np.pi * np.array([1, 0, 2]) / 7  # a Tuesday, a Monday, a Wednesday
    np.testing.assert_allclose(found[:3, 4], np.sin(angle), atol=1e-9)
    np.testing.assert_allclose(found[:3, 5], np.cos(angle), atol=1e-9)
    assert np.isnan(found[3]).all()
    often = np.repeat(np.append(days, np.nan), 400)  # of more rows than days each day is worked out once
    assert dates.encode(often, DATE).tobytes() == np.repeat(found, 400, axis=0).tobytes()
    early = np.repeat([-719_162.0, -1.5, -1.0], 400)  # the year 1, and the last days before 1970
    alone = np.concatenate([dates.encode(early[place : place + 1], MOMENT)[:, :6] for place in (0, 400, 800)])
    assert dates.encode(early[400:], DATE).tobytes() == np.repeat(alone[1:], 400, axis=0).tobytes()
    mondays = dates.encode(np.arange(4, 40_000, 7.0), DATE)[:, 4:]
    assert len(np.unique(mondays, axis=0)) == 1, "quantiles would part what the last bits differ in"
    assert dates.encode(np.array([19.75]), MOMENT)[0, 6:].tolist() == pytest.approx([-1, 0], abs=1e-9)  # 18 o'clock


@pytest.mark.parametrize("kind", ["none", "standard", "log", "yeo-johnson"])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e6])
def test_a_target_comes_back_exactly(kind: str, spread: float) -> None:
    values = np.random.default_rng(0).lognormal(0, 1.5, 500) * spread
    target = Target.fit(values, kind, lambda v: (float(v.mean()), float(v.std())), "y")
    encoded = target.encode(values)
    np.testing.assert_allclose(target.decode(torch.from_numpy(encoded)).numpy(), values, rtol=1e-9)
    if kind != "none":
        assert abs(encoded.mean()) < 1e-9
        assert abs(encoded.std() - 1) < 1e-9


def test_yeo_johnson_is_that_of_scikit_learn() -> None:
    from sklearn.preprocessing import PowerTransformer

    values = np.random.default_rng(0).gamma(1, 3, 400) - 2
    target = Target.fit(values, "yeo-johnson", lambda v: (float(v.mean()), float(v.std())), "y")
    scaled = ((values - values.mean()) / values.std())[:, None]
    np.testing.assert_allclose(target.encode(values), PowerTransformer().fit_transform(scaled)[:, 0], atol=1e-6)


def test_a_logarithm_needs_a_target_above_zero(tmp_path: Path) -> None:
    frame = mixed().assign(price=np.arange(120.0) - 3)
    with pytest.raises(UserError, match=r"data.target_scaling=log needs a target above 0, found -3"):
        Partition(sources.frame(frame, "price", None, np.float32), 0, 0, "standard", "log", 0)


@pytest.mark.parametrize("target_scaling", ["log", "yeo-johnson"])
def test_figures_are_in_the_target_s_unit_whatever_it_is_learned_as(tmp_path: Path, target_scaling: str) -> None:
    """Validation within training, and the figures of the best epoch after it."""
    mixed().to_csv(tmp_path / "rows.csv", index=False)
    options = (f"data.path={tmp_path}/rows.csv", "data.target=price", f"data.target_scaling={target_scaling}")
    summary = trained(tmp_path / "run", "data=csv", *options, "model=mlp", "trainer.max_epochs=20", "logger=none")
    metrics = pd.read_csv(tmp_path / "run" / "metrics.csv")
    assert metrics["val/mse"].min() == pytest.approx(summary["metrics"]["val/mse"], rel=1e-5)
    assert summary["metrics"]["train/mse"] < 1e4


def test_hidden_values_teach_what_is_unknown() -> None:
    net = Embedded(torch.nn.Flatten(), 1, 4)
    rows = torch.tensor([[0.5, 1.0], [0.5, 2.0]]).repeat(5000, 1)
    net.train()
    seen = net(rows)[:, 1:]
    unknown = net.eval()(torch.tensor([[0.5, 0.0]]))[:, 1:]
    hidden = (seen == unknown).all(1).double().mean()
    assert 0 < float(hidden) < 0.2
    assert not (net(rows)[:, 1:] == unknown).all(1).any()


def test_new_rows_follow_the_trained_policy(tmp_path: Path, capsys: Any) -> None:
    """Columns in another order, others beside them, gaps, and words that were not met: counted in the closing line."""
    from src.runs.evaluate import evaluate
    from src.runs.predict import predict

    frame = mixed()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    options = (f"data.path={tmp_path}/rows.csv", "data.target=price", "trainer.max_epochs=3", "logger=none")
    summary = trained(tmp_path / "run", "data=csv", *options)
    assert evaluate(str(tmp_path / "run"), "best") == summary["metrics"]
    whole = pd.read_csv(predict(str(tmp_path / "run"), str(tmp_path / "rows.csv"), str(tmp_path / "a.csv"), "best"))
    kept = frame.dropna().index[:2]
    new = frame.loc[kept, ["town", "sold", "garden", "heating", "size"]].assign(extra="x")
    new.to_csv(tmp_path / "new.csv", index=False)
    found = pd.read_csv(predict(str(tmp_path / "run"), str(tmp_path / "new.csv"), str(tmp_path / "b.csv"), "best"))
    assert found["price_predicted"].tolist() == pytest.approx(whole["price_predicted"][kept].tolist(), rel=1e-6)
    capsys.readouterr()
    new.assign(town=["atlantis", "town 1"], size=[None, 3.0], heating="sun").to_csv(tmp_path / "new.csv", index=False)
    predict(str(tmp_path / "run"), str(tmp_path / "new.csv"), str(tmp_path / "c.csv"), "best")
    said = capsys.readouterr().out
    assert "1 gap filled as in training, 3 categories not met in training, 1 other column carried along" in said
    assert np.isfinite(pd.read_csv(tmp_path / "c.csv")["price_predicted"]).all()


def test_numbers_with_gaps_take_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each column as Arrow parses it, in pieces; what turns out to be none is read as words after all."""
    monkeypatch.setattr(arrow_csv, "_PIECE", 50)
    path = tmp_path / "rows.csv"
    path.write_text("a,b,w\n" + "".join(f"{i if i % 3 else 'NA'},{i},{'xyz'[i % 3]}\n" for i in range(200)))
    cells = reader.Source([path], Form()).cells(["a", "b", "w"], ["a", "b", "w"], ["NA"])
    assert cells["a"].type == cells["b"].type == pa.float64()
    assert cells["a"].null_count == 67
    assert cells["w"].to_pylist() == ["xyz"[i % 3] for i in range(200)]
    path.write_text(path.read_text() + "5,five,x\n")
    cells = reader.Source([path], Form()).cells(["a", "b", "w"], ["a", "b", "w"], ["NA"])
    assert cells["b"].to_pylist() == [*map(str, range(200)), "five"]


@pytest.mark.parametrize("mixed_in", ["", "x"])
def test_rows_lie_one_after_the_other(tmp_path: Path, mixed_in: str) -> None:
    """Or each few thousand of them would be taken from a copy of the whole."""
    rows = "".join(f"{number},{number % 7},{number % 3}{mixed_in},{number % 5}\n" for number in range(40))
    table = read(tmp_path / "rows.csv", "id,a,b,y\n" + rows)
    assert table.feature_names == ["a", "b"]
    assert table.features.flags.c_contiguous
    turned = replace(table, features=np.asfortranarray(table.features))
    assert turned.features.flags.c_contiguous
    np.testing.assert_array_equal(turned.features, table.features)


@pytest.mark.parametrize("scale", [1e-45, 1e-42, 1e-30, 1.0, 1e30])
def test_digits_are_kept_of_the_smallest_numbers_too(tmp_path: Path, scale: float) -> None:
    rows = "".join(f"{number * scale!r},{number % 3}w,{number**2}\n" for number in range(1, 300))
    table = read(tmp_path / "rows.csv", "a,b,y\n" + rows)
    assert len(np.unique(table.features[:, 0])) == 299
