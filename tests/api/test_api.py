"""Runs of tables that are in memory: what they leave behind, say, and come to."""

import importlib
import logging
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import plumbline
from plumbline import Run, UserError, load, sweep, train
from src.data.given import Given
from src.runs.evaluate import evaluate
from tests.commands import Call, everything_under

SHORT = ("model=mlp", "trainer.max_epochs=4", "figures=false", "logger=none")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> Run:
    """A run of the table, in a folder that was named."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    return train(*SHORT, f"hydra.run.dir={folder}", data=rows, target="y", verbose=False)


def test_the_table_goes_with_the_run(run: Run, elsewhere: Path) -> None:
    """Evaluate and resume find the rows in a copy of the folder, also when the first one is gone."""
    before = run.folder.with_name("away")
    shutil.copytree(run.folder, elsewhere / "copy")
    run.folder.rename(before)
    try:
        assert evaluate("copy", "best") == run_metrics(elsewhere / "copy")
        more = train("resume=copy", "trainer.max_epochs=6", verbose=False)
    finally:
        before.rename(run.folder)
    assert more.summary["epochs"] == 6
    assert more.summary["data"]["sha256"] == run.summary["data"]["sha256"]


def run_metrics(folder: Path) -> dict[str, float]:
    return load(folder).metrics


def test_several_targets_are_columns(rows: pd.DataFrame, elsewhere: Path) -> None:
    """By the index of the rows, whatever their names; a list of one is that one."""
    names = ["price, €", "a 'b' [c]"]
    given = rows.rename(columns={"y": names[0]}).assign(**{names[1]: rows.y * 1e-3 + rows.x})
    run = train(*SHORT, data=given, target=names, verbose=False)
    found = run.predict(given)
    assert list(found) == [f"{name}_predicted" for name in names]
    assert found.index.equals(given.index)
    assert run.metrics[f"train/rmse/{names[0]}"] > 0
    assert names[1] in run._repr_html_()
    one = train(*SHORT, data=rows, target=["y"], verbose=False)
    assert one.predict(rows).name == "y_predicted"
    with pytest.raises(UserError, match="the table: has no column 'z'"):
        train(*SHORT, data=rows, target=["y", "z"], verbose=False)


def test_the_run_is_the_commands(run: Run, rows: pd.DataFrame, call: Call) -> None:
    """The command that it names comes to the same, and predicts the same from a file."""
    assert run.summary["command"].startswith("python -m src.train data=csv data.path=")
    assert call("train", *run.summary["overrides"], "hydra.run.dir=again").code == 0
    assert load("again").metrics == run.metrics
    rows.to_parquet("new.parquet", index=False)
    assert call("predict", "run=again", "input=new.parquet", "output=out.csv").code == 0
    predicted = run.predict(rows)
    assert predicted.index.equals(rows.index)
    assert predicted.tolist() == pd.read_csv("out.csv")["y_predicted"].tolist()


def test_tables_of_every_maker(run: Run, rows: pd.DataFrame) -> None:
    """An Arrow table, and what hands itself over as one, predict as the DataFrame does."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    for given in (table, table.to_reader()):
        assert run.predict(given).tolist() == run.predict(rows).tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(columns="x"), "the table: has no column 'x'"),
        (lambda rows: rows.assign(x="word"), "the table: row 1, column 'x': found the text 'word', expected a number"),
        (
            lambda rows: rows.assign(x=rows.x.where(rows.x != rows.x.iloc[2])),
            "row 3, column 'x': found an empty cell, expected a number",
        ),
        (lambda rows: rows[:0], "the table: has no rows"),
        (lambda rows: pd.concat([rows, rows], axis=1), "the table: Duplicate column names found"),
        (lambda rows: rows.to_dict(), "expected a pandas DataFrame or an Arrow table, found dict"),
    ],
)
def test_rows_that_cannot_be_predicted(run: Run, rows: pd.DataFrame, change: Any, said: str) -> None:
    """As src.predict refuses them."""
    with pytest.raises(UserError, match=re.escape(said)):
        run.predict(change(rows))


def test_a_category_that_was_not_met_is_unknown(run: Run, rows: pd.DataFrame) -> None:
    assert run.predict(rows.assign(town="Z")).notna().all()


@pytest.mark.parametrize(
    ("overrides", "target", "said"),
    [
        (("optimizer.lrr=1",), "y", "optimizer.lrr: there is no such key; did you mean optimizer.lr?"),
        (("model=mpl",), "y", "model=mpl: there is no such model; did you mean 'mlp'?"),
        (("optimizer.lr=-1",), "y", "optimizer.lr must be"),
        (("data=cars",), "y", "data=cars: is said by an argument as well"),
        (("data.features=[z]",), "y", "the table: has no column 'z'"),
        (("sweep=mlp",), "y", "sweep=mlp: is a sweep, expected sweep(…)"),
        (("--help",), "y", "'--help': expected an override as on the command line"),
        (("hydra.job.chdir=true",), "y", "hydra.job.chdir=true: paths are read from where the command was started"),
        ((), "z", "the table: has no column 'z'"),
        ((), None, "data.target has to be given"),
        ((), "town", "column 'town': found the text 'B'"),
    ],
)
def test_mistakes_leave_nothing_behind(
    overrides: tuple[str, ...],
    target: str | None,
    said: str,
    rows: pd.DataFrame,
    elsewhere: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An error of one line, no word on the terminal, no file, and the next run works."""
    with pytest.raises(UserError) as caught:
        train(*overrides, data=rows, target=target, verbose=False)
    assert str(caught.value).startswith(said) or said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert everything_under(elsewhere) == set()


def test_a_sweep_says_its_mistakes_as_well(rows: pd.DataFrame, elsewhere: Path) -> None:
    with pytest.raises(UserError, match=r"^optimizer\.lrr: there is no such key; did you mean optimizer\.lr\?"):
        sweep("optimizer.lrr=1,2", data=rows, target="y", verbose=False)
    assert everything_under(elsewhere) == set()


def test_a_programs_own_logging(rows: pd.DataFrame, elsewhere: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its handlers get our lines as its level wants them, once, and go on afterwards; train.log has all."""
    handler = logging.FileHandler("program.log", "w")
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    try:
        root.setLevel(logging.INFO)
        run = train(*SHORT, "hydra.run.dir=a", data=rows, target="y")
        root.setLevel(logging.WARNING)
        train(*SHORT, "hydra.run.dir=b", data=rows, target="y", verbose=False)
        with pytest.raises(UserError):  # after which a command shuts its logging down
            train("data.features=[z]", "hydra.run.dir=c", data=rows, target="y")
        logging.getLogger("program").warning("goes on")
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()
    lines = (elsewhere / "program.log").read_text().splitlines()
    assert sum(line.startswith("epoch 4/4") for line in lines) == 1
    assert lines[-1] == "goes on"
    assert "epoch" not in capfd.readouterr().out  # the program shows them already
    assert "INFO src.training.progress: epoch 4/4" in (run.folder / "train.log").read_text()


def test_lines_are_printed_where_nobody_shows_them(rows: pd.DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    train(*SHORT, data=rows, target="y")
    assert capfd.readouterr().out.count("epoch 4/4") == 1
    train(*SHORT, data=rows, target="y", verbose=False)
    assert capfd.readouterr().out == ""


def test_a_run_that_diverges_is_returned(caplog: pytest.LogCaptureFixture) -> None:
    run = train("optimizer.lr=0.5", *SHORT[2:], verbose=False)
    assert (run.status, run.metrics) == ("diverged", {})
    assert any(said.startswith("diverged: the loss of optimizer step") for said in caplog.messages)
    assert "diverged" in repr(run)


def test_a_net_of_ones_own_is_trusted_where_it_was_named(rows: pd.DataFrame) -> None:
    """Whoever trained it named it; from a folder it takes a word more."""
    net = ("model=linear", "~model.init", "model._target_=tests.api.own.Bent", "model.standardize=true")
    run = train(*net, *SHORT[1:], data=rows, target="y", verbose=False)
    predicted = run.predict(rows)
    with pytest.raises(UserError, match="trust=PACKAGE"):
        load(run.folder).predict(rows)
    assert load(run.folder, trust=["tests"]).predict(rows).equals(predicted)


def test_nothing_left_to_do_is_the_run_itself(run: Run) -> None:
    assert train(f"resume={run.folder}", verbose=False).folder == run.folder


def test_what_a_notebook_shows_is_escaped(rows: pd.DataFrame) -> None:
    """A column's name is text, whatever stands in it."""
    name = "<script>alert(1)</script>"
    shown = train(*SHORT, data=rows.rename(columns={"y": name}), target=name, verbose=False)._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert "completed" in shown


def test_a_run_outlives_a_change_of_folder(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, elsewhere: Path
) -> None:
    train(*SHORT, data=rows, target="y", verbose=False)
    run = load()
    (elsewhere / "other").mkdir()
    monkeypatch.chdir("other")
    assert run.predict(rows).notna().all()
    assert run.status == "completed"
    with pytest.raises(UserError, match="there is none in outputs/train/ yet"):
        load()


def test_columns_that_stand_twice() -> None:
    with pytest.raises(UserError, match="column 'a' stands 2 times, expected once"):
        Given(pa.table([[1], [2]], names=["a", "a"]))


def test_another_src_before_ours_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.ModuleType("src")
    other.__file__ = "/somebody/src/__init__.py"
    monkeypatch.setitem(sys.modules, "src", other)
    with pytest.raises(ImportError, match="another one stands before it: /somebody/src"):
        importlib.reload(plumbline)
