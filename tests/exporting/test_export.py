"""Files that predict without us: ONNX from raw columns, torch.export from a matrix, and the card beside them."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch

from src.data.columns import Cells
from src.data.table import CATEGORY, DATE, Column
from src.errors import UserError
from src.exporting import cells, encoding, onnx_file
from src.exporting.check import altered as altered_rows
from src.exporting.export import export
from src.exporting.whole import recoded
from src.runs.folder import RunFolder
from src.runs.predict import predict
from tests.commands import Call, everything_under
from tests.compose import trained
from tests.exporting.rows import altered, by_onnx, varied


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rows.csv, new.csv, a run of two folds, and what was exported of it."""
    path = tmp_path_factory.mktemp("scene")
    frame = varied()
    frame.to_csv(path / "rows.csv", index=False)
    altered(frame).to_csv(path / "new.csv", index=False)
    trained(path / "folds", *asked(path), "folds=2")
    export(str(path / "folds"), "best", "all", str(path / "out"), interval=0.8)
    return path


def asked(path: Path) -> tuple[str, ...]:
    return ("data=csv", f"data.path={path}/rows.csv", "data.target=y", "trainer.max_epochs=2", "logger=none")


def predicted(run: Path, rows: Path, out: Path, **options: Any) -> pd.DataFrame:
    return pd.read_csv(predict(str(run), str(rows), str(out / "predicted.csv"), "best", **options))


def agree(found: np.ndarray, wanted: np.ndarray) -> None:
    """Within what is promised: 1e-6 of the prediction or of the predictions' deviation."""
    assert np.isfinite(wanted).all()
    assert (np.abs(found - wanted) / np.maximum(np.abs(wanted), wanted.std())).max() < 1e-6


def test_raw_columns_go_in(scene: Path, tmp_path: Path) -> None:
    """Folds, intervals, awkward names, words and gaps that are new: what predict says of the same file."""
    assert everything_under(scene / "out") == {"model.onnx", "model.pt2", "MODEL_CARD.md"}
    model = scene / "out" / "model.onnx"
    own = predicted(scene / "folds", scene / "new.csv", tmp_path, interval=0.8)
    found = by_onnx(model, scene / "new.csv")
    assert list(found) == ["y_predicted", "y_low", "y_high"]
    for name in found:
        agree(found[name], own[name].to_numpy())
    inputs = {each.name: each for each in onnxruntime.InferenceSession(str(model)).get_inputs()}
    assert list(inputs) == list(varied().columns[:-1])
    assert {each.type for each in inputs.values()} == {"tensor(double)", "tensor(string)"}
    assert {tuple(each.shape) for each in inputs.values()} == {("rows", 1)}
    said = {each.key: each.value for each in onnx.load(str(model)).metadata_props}
    assert (said["target"], said["source"]) == ("y", "rows.csv")


def test_every_target_is_an_output(tmp_path: Path) -> None:
    """With its interval, each in its own unit; and a column of the program."""
    frame = varied()
    frame.insert(0, "small", frame["y"] * 1e-6 + np.sin(np.arange(len(frame))) * 1e-5)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    altered(frame.drop(columns="small")).to_csv(tmp_path / "new.csv", index=False)
    run = tmp_path / "run"
    more = ("data.target=[y,small]", "data.target_scaling=yeo-johnson", "folds=2", "baselines=line")
    trained(run, *asked(tmp_path), *more)
    export(str(run), "best", "all", str(tmp_path / "out"), interval=0.8)
    own = predicted(run, tmp_path / "new.csv", tmp_path, interval=0.8)
    found = by_onnx(tmp_path / "out" / "model.onnx", tmp_path / "new.csv")
    assert list(found) == [f"{name}_{what}" for name in ("y", "small") for what in ("predicted", "low", "high")]
    for name, values in found.items():
        agree(values, own[name].to_numpy())
    said = {"plumbline.json": ""}
    program = torch.export.load(tmp_path / "out" / "model.pt2", extra_files=said).module()
    assert json.loads(said["plumbline.json"])["target"] == ["y", "small"]
    assert program(torch.full((3, 7), torch.nan, dtype=torch.float64)).shape == (3, 2)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for words in (
        "predicts `y`, `small` from",
        "| small | mse |",
        "`small_low` and `small_high` lie",
        "'small_predicted']",
    ):
        assert words in card


def test_a_row_of_gaps(scene: Path, tmp_path: Path) -> None:
    """A row alone, in which no word is left."""
    rows = varied().drop(columns="y").iloc[:1].astype(object)
    rows.loc[:, rows.columns != "raw"] = " "
    rows.iloc[:, 0] = ""
    rows.to_csv(tmp_path / "new.csv", index=False)
    own = predicted(scene / "folds", tmp_path / "new.csv", tmp_path)["y_predicted"].to_numpy()
    found = by_onnx(scene / "out" / "model.onnx", tmp_path / "new.csv")["y_predicted"]
    assert found == pytest.approx(own, rel=1e-6)


def test_a_program_takes_a_matrix(scene: Path, tmp_path: Path) -> None:
    """Of raw numbers, in the order and with the places of words that it says; to the bit what predict says."""
    said = {"plumbline.json": ""}
    run = torch.export.load(scene / "out" / "model.pt2", extra_files=said).module()
    columns = [
        Column(each["name"], each["kind"], tuple(each["values"]), each["gaps"])
        for each in json.loads(said["plumbline.json"])["columns"]
    ]
    table = pd.read_csv(scene / "new.csv", dtype=str, keep_default_na=False)
    reader = Cells(("",), (".", ""), 1e38, lambda row, name: ("", ""))
    import pyarrow as pa

    parts = [reader.read(c.name, pa.chunked_array([table[c.name].tolist()]), c.kind) for c in columns]
    raw = recoded(np.column_stack([numbers for _, numbers in parts]), [own for own, _ in parts], columns)
    own = predicted(scene / "folds", scene / "new.csv", tmp_path)["y_predicted"].to_numpy()
    np.testing.assert_allclose(run(torch.from_numpy(raw)).numpy()[:, 0], own, rtol=1e-12)
    assert run(torch.from_numpy(raw[:1])).shape == (1, 1)
    raw[0, 1] = np.nan  # a gap where training had none
    assert np.isnan(run(torch.from_numpy(raw)).numpy()[:, 0]).nonzero()[0].tolist() == [0]


@pytest.mark.parametrize(
    ("scaling", "target", "more"),
    [
        ("robust", "log", ()),
        ("quartile", "none", ("trainer.precision=64-true",)),
        ("standard", "yeo-johnson", ()),
        ("quantile", "standard", ("model=mlp",)),
        # Of days as they are, tens of thousands, float32 keeps too few digits for the promise.
        ("none", "standard", ("model=mlp", "data.drop=[raw,'plumbline/0','b,c|`d`']")),
    ],
)
def test_every_scaling(scaling: str, target: str, more: tuple[str, ...], scene: Path, tmp_path: Path) -> None:
    """Of features and of the target."""
    options = (f"data.scaling={scaling}", f"data.target_scaling={target}", "model.standardize=true")
    trained(tmp_path / "run", *asked(scene), *options, *more)
    model, _ = export(str(tmp_path / "run"), "best", "onnx", None)
    assert model == tmp_path / "run" / "export" / "model.onnx"
    own = predicted(tmp_path / "run", scene / "new.csv", tmp_path)["y_predicted"].to_numpy()
    assert own.std() > 0
    agree(by_onnx(model, scene / "new.csv")["y_predicted"], own)


def test_the_lessons_line(call: Call, tmp_path: Path) -> None:
    """wt to mpg through the door, best checkpoint and last; a gap is no number here."""
    summary = trained(tmp_path / "run", "trainer.max_epochs=50", "logger=none")
    answer = call("export", "run", "line.onnx", "checkpoint=last")
    assert answer.code == 0, answer.err
    assert "line.onnx, MODEL_CARD.md: ." in answer.out
    (tmp_path / "new.csv").write_text("wt\n2\n3.5\n\ninf\n".replace("\n\n", "\n''\n").replace("''", '""'))
    found = by_onnx(tmp_path / "line.onnx", tmp_path / "new.csv")["mpg_predicted"]
    line = summary["parameters"]
    assert found[:2] == pytest.approx([line["slope"] * wt + line["intercept"] for wt in (2, 3.5)], rel=1e-6)
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(
    ("module", "name", "bug"),
    [(encoding, "YEAR", 365.0), (cells, "_MONTHS", np.arange(13.0) * 30), (onnx_file, "GAPS", ("",))],
)
def test_what_differs_is_not_kept(
    module: Any, name: str, bug: Any, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in the encoder of the file: one line says by how much, and nothing is left."""
    monkeypatch.setattr(module, name, bug)
    with pytest.raises(UserError, match=r"model.onnx: differs from the run's own predictions by .*tolerance=1e-06$"):
        export(str(scene / "folds"), "best", "onnx", str(tmp_path / "a" / "b"))
    assert everything_under(tmp_path) == set()


def test_altered_rows_have_what_training_had_not() -> None:
    """A gap in a quarter of the rows of each column that takes one, and an unknown word in another quarter."""
    columns = [Column("n"), Column("w", CATEGORY, ("a", "b"))]
    found, rows = altered_rows(columns, np.zeros((8, 2)), [False, True])
    assert np.isnan(rows).sum(axis=0).tolist() == [0, 2]
    assert (rows[:, 1] == 2).sum() == 2
    assert found[1].values[:2] == ("a", "b")
    assert len(found[1].values) == 3


def test_dates_are_read_as_files_are() -> None:
    """ISO 8601 with and without a time and an offset; what is none becomes infinite, a gap NaN."""
    words = [
        *("2024-02-29", "1969-12-31", "1900-03-01", "2000-12-31 23:59", "2024-07-01T10:11:12", "0001-01-01"),
        *(
            "1888-01-01T00:00:00.000001",
            "2024-03-01T01:30:00+02:00",
            "2024-02-28T23:30:00.5-00:45",
            "2100-03-01T00:00Z",
        ),
    ]
    bad = ["2023-02-29", "2100-02-29", "2024-13-01", "2024-04-31", "24-01-01", "2024-01-01x", "2024-01-01T25:00", "x"]
    graph = cells.Graph("n/")
    name = cells.raw(graph, [Column("d", DATE)], ["", "NA"])
    proto = onnx.helper.make_graph(
        graph.nodes,
        "dates",
        [onnx.helper.make_tensor_value_info("d", onnx.TensorProto.STRING, ["rows", 1])],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["rows", 1])],
        graph.constants,
    )
    opsets = [
        onnx.helper.make_opsetid("", 20),
        onnx.helper.make_opsetid("ai.onnx.ml", 4),
        onnx.helper.make_opsetid("com.microsoft", 1),
    ]
    model = onnx.helper.make_model(proto, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    [found] = session.run(None, {"d": np.array([*words, *bad, "", "NA"], object)[:, None]})
    moments = [datetime.fromisoformat(word) for word in words]
    moments = [each if each.tzinfo else each.replace(tzinfo=UTC) for each in moments]
    micros = [(each - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for each in moments]
    assert found[: len(words), 0].tolist() == [value / 86_400e6 for value in micros]
    assert np.isposinf(found[len(words) : -2]).all()
    assert np.isnan(found[-2:]).all()


def test_a_net_of_ones_own(scene: Path, tmp_path: Path) -> None:
    """Any net that can be traced, opened by trust; what cannot be is a line, and so is what was traced wrong."""
    for name in ("Attentive", "Counting"):
        own = ("model=mlp", f"model._target_=tests.exporting.nets.{name}", "~model.hidden", "~model.activation")
        trained(tmp_path / name, *asked(scene), *own, "~model.dropout")
    with pytest.raises(UserError, match="trust=PACKAGE"):
        export(str(tmp_path / "Attentive"), "best", "onnx", None)
    model, _ = export(str(tmp_path / "Attentive"), "best", "onnx", None, ["tests"])
    own_words = predicted(tmp_path / "Attentive", scene / "new.csv", tmp_path, trust=["tests"])["y_predicted"]
    agree(by_onnx(model, scene / "new.csv")["y_predicted"], own_words.to_numpy())
    for form, said in (("onnx", "differs from the run's own predictions"), ("torch", "torch.export cannot trace")):
        with pytest.raises(UserError, match=said):
            export(str(tmp_path / "Counting"), "best", form, None, ["tests"])
    assert not (tmp_path / "Counting" / "export").exists()


def test_the_card_says_what_there_is(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without their path, ranges of the training rows, figures with deviations, baselines, how to predict."""
    text = (scene / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    summary = RunFolder(scene / "folds").read_summary()
    assert text.startswith("# Model card: model\n")
    assert str(scene) not in text
    frame = varied()
    assert f"| `raw` | number | feature | {frame['raw'].min()} to {frame['raw'].max()} |" in text
    assert f"SHA-256 {summary['data']['sha256']}" in text
    for name in ("oof", "train", "val"):
        [line] = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert f"{summary['metrics'][f'{name}/rmse']:.6g}" in line
        assert ("±" in line) == (name != "oof")
    assert f"| ridge, oof | {summary['baselines']['ridge']['oof/mse']:.6g} |" in text
    assert "Licence: " in text
    monkeypatch.chdir(scene / "out")
    for snippet in text.split("```python\n")[1:]:
        told: dict[str, Any] = {}
        exec(snippet.split("```")[0], told)
        assert told["predicted"].shape[0] == 1


def test_docs_example(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of docs/export.md, as they stand there."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    lines = page.split("```python\n")[1].split("```")[0]
    assert len(lines.splitlines()) <= 12
    (tmp_path / "model.onnx").write_bytes((scene / "out" / "model.onnx").read_bytes())
    rows = tmp_path / "src" / "data" / "new_cars.csv"  # the page's table; this one has every kind of column
    rows.parent.mkdir(parents=True)
    rows.write_bytes((scene / "new.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    told: dict[str, Any] = {}
    exec(lines, told)
    agree(told["predicted"][:, 0], predicted(scene / "folds", scene / "new.csv", tmp_path)["y_predicted"].to_numpy())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "onxx"}, "format must be one of onnx, torch, all, found 'onxx'"),
        ({"tolerance": 0}, "tolerance must be a number between 0 and 1, both excluded, found 0"),
        ({"output": "x.pt2"}, "output=x.pt2: format=onnx writes .onnx"),
        ({"interval": 90}, "interval must be a number between 0 and 1, both excluded, found 90"),
        ({"rows": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"run": "theirs"}, "run=theirs: is no run folder (it has no .hydra/config.yaml)"),
        ({"output": "theirs"}, "theirs/MODEL_CARD.md: is not the card of model: choose another folder by output=DIR"),
        ({"output": "theirs/MODEL_CARD.md/x"}, "output=theirs/MODEL_CARD.md/x: cannot be written (Not a directory)"),
        ({"tolerance": 1e-12}, "model.onnx: differs from the run's own predictions by "),
    ],
)
def test_mistakes(
    options: dict[str, Any], said: str, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line; nothing is left behind, and nothing of somebody else's is touched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "MODEL_CARD.md").write_text("# Mine\n")
    given = {"run": str(scene / "folds"), "checkpoint": "best", "format": "onnx", "output": "out"} | options
    before = everything_under(tmp_path), everything_under(scene)
    with pytest.raises(UserError) as error:
        export(**given)
    assert str(error.value).startswith(said)
    assert (everything_under(tmp_path), everything_under(scene)) == before
    assert (tmp_path / "theirs" / "MODEL_CARD.md").read_text() == "# Mine\n"


def test_what_is_missing_is_named(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, before anything else is done."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"format=onnx needs onnx and onnxruntime .*pip install .*'\.\[export\]'"):
        export(str(scene / "folds"), "best", "onnx", str(tmp_path))
    assert everything_under(tmp_path) == set()


def test_what_diverged(call: Call) -> None:
    """Its predictions are no numbers; a file named by a number is one."""
    for run, lr in (("wild", 0.1), ("tame", 0.02)):
        assert call("train", f"optimizer.lr={lr}", "logger=none", f"hydra.run.dir={run}").code == int(run == "wild")
    answer = call("export", "run=wild", "output=7")
    assert (answer.code, answer.lines) == (2, ["run=wild: diverged, which leaves nothing to export"])
    assert call("export", "run=tame", "output=7").code == 0
    assert everything_under(Path("7")) == {"model.onnx", "MODEL_CARD.md"}


def test_rows_that_went_away(scene: Path, tmp_path: Path, capsys: Any) -> None:
    """rows=FILE says where they are; others than the run's are told."""
    frame = varied()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    trained(tmp_path / "run", *asked(tmp_path))
    (tmp_path / "rows.csv").rename(tmp_path / "moved.csv")
    with pytest.raises(UserError, match=r"rows.csv: no such file.*; rows=FILE says where the run's rows are now"):
        export(str(tmp_path / "run"), "best", "onnx", None)
    export(str(tmp_path / "run"), "best", "onnx", None, rows=str(tmp_path / "moved.csv"))
    assert capsys.readouterr().err == ""
    frame.head(100).to_csv(tmp_path / "moved.csv", index=False)
    export(str(tmp_path / "run"), "best", "onnx", None, rows=str(tmp_path / "moved.csv"))
    assert "has changed since the run" in capsys.readouterr().err
    frame.drop(columns="raw").to_csv(tmp_path / "moved.csv", index=False)
    with pytest.raises(UserError, match=r"moved.csv: its columns are not those that the run learned"):
        export(str(tmp_path / "run"), "best", "onnx", None, rows=str(tmp_path / "moved.csv"))


def test_double_precision_that_onnxruntime_lacks(scene: Path, tmp_path: Path) -> None:
    """Its Erf takes float alone: a line says so."""
    double = ("model=mlp", "model.activation=gelu", "trainer.precision=64-true")
    trained(tmp_path / "run", *asked(scene), *double)
    with pytest.raises(UserError, match=r"onnxruntime cannot run this net \(.*Erf.*; format=torch may do"):
        export(str(tmp_path / "run"), "best", "onnx", None)
    assert not (tmp_path / "run" / "export").exists()
