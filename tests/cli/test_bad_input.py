"""Every mistake that a user can make ends in a line or two before training starts, and leaves nothing behind."""

import shutil
from pathlib import Path

import pytest

from src.runs.folder import RunFolder
from tests.commands import Answer, Call, ended, everything_under, start
from tests.compose import trained

GOOD = "a,b,y\n" + "".join(f"{i},{i * i % 7},{2 * i + 1}\n" for i in range(30))
CSV = ("data=csv", "data.path=table.csv", "data.target=y")


def assert_refused(answer: Answer, *said: str, code: int = 2) -> None:
    """Exit code, no traceback, a line, two at most, and every one of these words."""
    assert answer.code == code, answer
    assert "Traceback" not in answer.out + answer.err
    assert "Error executing" not in answer.err
    assert len(answer.lines) <= 2, answer.err
    message = answer.lines[-1]
    for words in said:
        assert words in message, f"{words!r} is not in {message!r}"


# Overrides and what has to be said: the key, what was found, what is allowed.
VALUES = {
    "lr=fast": ("optimizer.lr must be a number above 0, found 'fast'",),
    "lr=0": ("optimizer.lr must be a number above 0, found 0",),
    "lr=-1": ("optimizer.lr must be a number above 0, found -1",),
    "lr=nan": ("optimizer.lr must be a number above 0, found nan",),
    "lr=null": ("optimizer.lr must be a number above 0, found null",),
    "lr=true": ("optimizer.lr must be a number above 0, found true",),
    "lr=[1,2]": ("optimizer.lr must be a number above 0, found [1, 2]",),
}
REFUSED: dict[str, tuple[str, ...]] = {f"optimizer.{key}": said for key, said in VALUES.items()} | {
    "trainer.max_epochs=ten": ("trainer.max_epochs must be a whole number", "found 'ten'"),
    "trainer.max_epochs=1.5": ("trainer.max_epochs must be a whole number", "found 1.5"),
    "trainer.max_epochs=-3": ("trainer.max_epochs must be a whole number", "found -3"),
    "trainer.max_epochs=-1": ("trainer.max_epochs=-1 needs trainer.max_steps",),
    "trainer.max_steps=0": ("trainer.max_steps must be a whole number from 1 on", "found 0"),
    "trainer.steps_per_execution=0": ("trainer.steps_per_execution must be auto or a whole number", "found 0"),
    "trainer.gradient_clip_val=-1": ("trainer.gradient_clip_val must be a number above 0 or null, found -1",),
    "trainer.precision=nonsense": ("trainer.precision must be one of 32-true, 64-true", "found 'nonsense'"),
    "trainer.precision=17": ("trainer.precision must be one of 32-true, 64-true", "found 17"),
    "trainer.accelerator=gqu": ("trainer.accelerator must be one of auto, cpu, gpu", "found 'gqu'"),
    "trainer.devices=x": ("trainer.devices=x", "int > 0"),
    "+trainer.foo=1": ("trainer", "'foo'"),
    "+optimizer.foo=1": ("optimizer", "'foo'"),
    "+model.foo=1": ("model", "'foo'"),
    "+data.foo=1": ("data", "'foo'"),
    "data.batch_size=0": ("data.batch_size must be auto or a whole number from 1 on or null, found 0",),
    "data.batch_size=1.5": ("data.batch_size must be auto or a whole number from 1 on or null, found 1.5",),
    "data.shuffle=2": ("data.shuffle must be one of true, false, found 2",),
    "data.standardize=maybe": ("data.standardize must be one of auto, true, false, found 'maybe'",),
    "data.val_fraction=-0.1": ("data.val_fraction must be a number from 0 to below 1, found -0.1",),
    "data.val_fraction=1": ("data.val_fraction must be a number from 0 to below 1, found 1",),
    "data.val_fraction=0.6 data.test_fraction=0.6": ("data.val_fraction=0.6", "data.test_fraction=0.6", "below 1"),
    "data.val_fraction=0.5 data.test_fraction=0.47": ("leave 1 of 32 rows for training, expected at least 2",),
    "data.features=[wtt]": ("no column 'wtt'", "did you mean 'wt'"),
    "data.target=mgp": ("no target column 'mgp'", "did you mean 'mpg'"),
    "data.target=[hp,mgp]": ("no target column 'mgp'", "did you mean 'mpg'"),
    "data.target=[mpg,mpg]": (
        "data.target must be the name of one column, or a list of different ones",
        "found ['mpg'",
    ),
    "data.target=[]": ("data.target must be the name of one column, or a list of different ones, [a,b], found []",),
    "data.target=[mpg,4]": (
        "data.target must be the name of one column, or a list of different ones",
        "found ['mpg', 4]",
    ),
    "data.target=[4]": ("data.target must be the name of one column, which quotes make of it", "found 4"),
    "data.target=[mpg,wt]": ("data.features holds the target 'wt', expected other columns only",),
    "data.target=[mpg,hp] loss=quantile": ("loss.levels are quantiles of one target", "found data.target=[mpg,hp]"),
    "data.target=[mpg,hp] model=scratch": ("model=scratch is written out for one target", "data.target=[mpg,hp]"),
    "data.target=[mpg,hp] descent=true": ("descent=true draws a line to one target, found data.target=[mpg,hp]",),
    "data.target=[mpg,hp] objective=train/r2/wt": ("or that of one target, val/r2/hp, found 'train/r2/wt'",),
    "objective=train/r2/mpg": ("objective must be train, val or test with mse", "found 'train/r2/mpg'"),
    "data.target=[mpg,hp] data.val_fraction=0.2 callbacks=early_stopping callbacks.early_stopping.monitor=val/mae/wt": (
        "callbacks.early_stopping.monitor must be one of train/loss, val/mse",
        "or that of one target, val/r2/hp, found 'val/mae/wt'",
    ),
    "data=synthetic data.n_samples=1": ("data.n_samples must be a whole number from 2 on, found 1",),
    "data=synthetic data.kind=cubic": ("data.kind must be one of linear, sine, found 'cubic'",),
    "data=csv data.target=y": ("data.path has to be given",),
    "data=csv data.path=table.csv": ("data.target has to be given",),
    "model=mlp model.dropout=1.5": ("model.dropout must be a number from 0 to below 1, found 1.5",),
    "model=mlp model.hidden=[]": ("model.hidden must be a list of widths from 1 on, [64,64], found []",),
    "model=mlp model.hidden=[64,-1]": ("model.hidden must be a list of widths from 1 on, [64,64], found [64, -1]",),
    "model=mlp model.activation=rleu": ("model.activation 'rleu' is unknown; did you mean 'relu'?",),
    "model=mlp model.activation=zzz": ("model.activation 'zzz' is unknown; there are: relu, tanh",),
    "model.init.weight=x": ("model.init.weight must be a number or null, found 'x'",),
    "model=scratch optimizer=adam": ("model=scratch", "expected optimizer=sgd, found torch.optim.Adam"),
    "model=scratch optimizer.momentum=0.9": ("model=scratch", "found optimizer.momentum=0.9"),
    "model=scratch scheduler=step": ("model=scratch", "expected scheduler=none, found", "StepLR"),
    "model=scratch trainer.precision=16-mixed": ("model=scratch", "trainer.precision=16-mixed"),
    "model=scratch trainer.steps_per_execution=1 trainer.precision=bf16-mixed": ("model=scratch", "bf16-mixed"),
    "model=scratch trainer.steps_per_execution=1 trainer.precision=16-mixed": ("model=scratch", "16-mixed"),
    "model=scratch trainer.steps_per_execution=1 trainer=ddp": ("model=scratch", "trainer.devices=2", "ddp"),
    "model=scratch trainer.steps_per_execution=1 trainer.devices=2": ("model=scratch", "trainer.devices=2"),
    "model=scratch trainer.steps_per_execution=1 +trainer.limit_train_batches=1": ("trainer.limit_train_batches=1",),
    "scheduler=plateau scheduler.interval=step": ("scheduler.interval must be epoch", "whole epochs", "found 'step'"),
    "scheduler=onecycle data.batch_size=null trainer.max_epochs=1": (
        "scheduler=onecycle needs at least 2 steps to go up and down, found 1",
    ),
    "scheduler=onecycle scheduler.interval=epoch trainer.max_epochs=1": ("at least 2 epochs to go up",),
    "scheduler=onecycle trainer.max_steps=1": ("at least 2 steps to go up",),
    "scheduler=onecycle scheduler.total_steps=5": (
        "scheduler.total_steps must be null or at least the 1000 steps",
        "found 5",
    ),
    "scheduler=onecycle scheduler.pct_start=0.1 trainer.max_epochs=10": ("scheduler.pct_start=0.1 of 10 steps",),
    "trainer.precision=bf16-true": ("trainer.precision must be one of 32-true, 64-true", "found 'bf16-true'"),
    "trainer.precision=16-true": ("trainer.precision must be one of 32-true, 64-true", "found '16-true'"),
    "trainer.precision=16-mixed trainer.accelerator=cpu": (
        "trainer.precision=16-mixed needs a GPU, found the device cpu",
    ),
    "trainer.precision=16 trainer.accelerator=cpu": (
        "trainer.precision=16 needs a GPU",
        "expected bf16-mixed or 32-true",
    ),
    "optimizer._target_=torch.optim.LBFGS trainer.precision=16-mixed": ("trainer.precision=16-mixed", "LBFGS"),
    "model=scratch model.gradient=manual": ("model.gradient must be one of autograd, analytic, found 'manual'",),
    "optimizer.nesterov=true": ("optimizer.nesterov=true needs optimizer.momentum above 0, found 0",),
    "optimizer=adam optimizer.betas=[0.9]": ("optimizer.betas must be two numbers", "found [0.9]"),
    "loss=huber loss.delta=0": ("loss.delta must be a number above 0, found 0",),
    "scheduler=step scheduler.interval=week": ("scheduler.interval must be one of epoch, step, found 'week'",),
    "scheduler=plateau scheduler.monitor=val/mse": ("scheduler.monitor=val/mse needs val rows", "data.val_fraction=0"),
    "scheduler=plateau scheduler.monitor=los": ("scheduler.monitor must be one of train/loss", "found 'los'"),
    "callbacks=early_stopping": ("callbacks.early_stopping.monitor=val/mse needs val rows", "data.val_fraction=0"),
    "callbacks.progress.every_n_epochs=0": ("callbacks.progress.every_n_epochs must be", "from 1 on or null, found 0"),
    "objective=val/mse": ("objective=val/mse needs val rows, found data.val_fraction=0",),
    "objective=mse": ("objective must be train, val or test with mse, rmse, mae or r2", "found 'mse'"),
    "seed=-1": ("seed must be a whole number from 0 on, found -1",),
    "figures=maybe": ("figures must be one of auto, true, false, found 'maybe'",),
    "optimizer._target_=os.system": ("optimizer: expected a subclass of torch.optim.Optimizer, found os.system",),
    "data._target_=builtins.print": (
        "data: expected a function of src.data.sources",
        "found builtins.print",
    ),
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_a_value_that_does_not_fit(overrides: str, call: Call, tmp_path: Path) -> None:
    """Wrong type, out of range, or two values that do not go together."""
    assert_refused(call("train", *overrides.split()), *REFUSED[overrides])
    assert everything_under(tmp_path) == set()


def test_every_mistake_is_told_at_once(call: Call, tmp_path: Path) -> None:
    """Two wrong values are two lines."""
    answer = call("train", "optimizer.lr=0", "data.batch_size=0")
    assert answer.code == 2
    assert [line.split()[0] for line in answer.lines] == ["data.batch_size", "optimizer.lr"]
    assert everything_under(tmp_path) == set()


def test_a_gpu_that_is_not_there(call: Call, tmp_path: Path) -> None:
    """The accelerator is named."""
    import torch

    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is one")
    assert_refused(call("train", "trainer=gpu"), "trainer.accelerator=gpu", "none here", "expected auto or cpu")
    assert everything_under(tmp_path) == set()


@pytest.mark.parametrize(
    ("door", "overrides", "said"),
    [
        ("train", "optimizer.lrr=0.1", ("optimizer.lrr", "did you mean optimizer.lr?")),
        ("train", "modle=mlp", ("modle", "did you mean model?")),
        ("train", "trainer.epochs=3", ("trainer.epochs", "did you mean trainer.max_epochs?")),
        ("train", "model=mpl", ("model=mpl", "did you mean 'mlp'?", "linear, mlp, realmlp, resnet, scratch")),
        ("train", "optimizer=adm", ("optimizer=adm", "adam, adamw, rmsprop, sgd")),
        ("train", "optimizer.lr", ("optimizer.lr: expected KEY=VALUE",)),
        ("evaluate", "rnu=x", ("rnu", "did you mean run?")),
        ("predict", "inputs=x", ("inputs", "did you mean input?")),
        ("predict", "data=x.csv", ("data: there is no such key; did you mean input?",)),
        ("predict", "file=x.csv", ("file: there is no such key; did you mean input?",)),
        ("evaluate", "data=x.csv", ("data: there is no such key; there are: run",)),
        ("evaluate", "modle=mlp", ("modle: there is no such key; there are: run",)),
        ("export", "formt=onnx", ("formt", "did you mean format?")),
    ],
)
def test_an_override_that_hydra_refuses(
    door: str, overrides: str, said: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    """In our words; nothing is created."""
    assert_refused(call(door, *overrides.split()), *said)
    assert everything_under(tmp_path) == set()


TABLES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("is empty, expected a header line",)),
    "blank lines": (b"\n\n\n", ("is empty, expected a header line",)),
    "header only": (b"a,y\n", ("has a header but no rows",)),
    "one row": (b"a,y\n1,2\n", ("at least two rows, found 1",)),
    "binary": (b"\0\1\2,\0\n" * 40, ("is not a CSV table", "binary")),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", ("is not UTF-8 text", "line 1, byte 1: 0x89")),
    "prose": (b"not a table\nbut two lines\n", ("is not a table", "'not a table'", "features and a target")),
    "one column": (b"y\n1\n2\n", ("is not a table", "'y'")),
    "no text": (b"a,y\n1,2\n2,\x81\n", ("is not UTF-8 text", "line 3, byte 3: 0x81")),
    "latin-1 target": (
        "a,y\n1,2\n2,größe\n".encode("latin-1"),
        ("row 2 (line 3), column 'y'", "found the text 'größe'"),
    ),
    "no such target": (b"a,mpg\n1,2\n2,3\n", ("has no target column 'y'; there are: a, mpg",)),
    "a target nearly so": (b"a,yy\n1,2\n2,3\n", ("has no target column 'y'; did you mean 'yy'?",)),
    "duplicate columns": (b"a,a,y\n1,2,3\n4,5,6\n", ("column 'a' stands 2 times, expected once",)),
    "text": (b"a,y\n1,2\n2,three\n3,4\n", ("row 2 (line 3), column 'y'", "found the text 'three'", "a number")),
    "text after a blank line": (b"a,y\n\n1,2\n\nx,3\n", ("row 2 (line 5), column 'a'", "found the text 'x'")),
    "a decimal comma": (b'a,y\n1,2\n"1,5",3\n3,4\n', ("row 2 (line 3), column 'a'", "found the text '1,5'")),
    "no target at all": (b"a,y\n1,nan\n2,?\n3,\n", ("the target 'y' holds no number",)),
    "a column that becomes text": (
        b"a,y\n" + b"1,2\n" * 99 + b"x,3\n" * 90,
        ("row 100 (line 101), column 'a'", "found the text 'x'", "data.categorical=[a]"),
    ),
    "inf": (b"a,y\n1,2\n-inf,3\n3,4\n", ("row 2 (line 3), column 'a'", "found '-inf'", "a finite number")),
    "too large": (b"a,y\n1,2\n1e39,3\n3,4\n", ("row 2 (line 3), column 'a'", "found '1e39'", "3.4e+38", "float32")),
    "a target too large": (b"a,y\n1,2\n2,-4e38\n3,4\n", ("row 2 (line 3), column 'y'", "found '-4e38'", "3.4e+38")),
    "a short row": (b"a,y\n1,2\n2\n3,4\n", ("row 2 (line 3)", "in the header: 2, found 1")),
    "a long row": (b"a,y\n1,2\n2,3,9\n3,4\n", ("row 2 (line 3)", "in the header: 2, found 3")),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_is_none(kind: str, call: Call, tmp_path: Path) -> None:
    """The file is named, with row and column where one cell is to blame."""
    content, said = TABLES[kind]
    (tmp_path / "table.csv").write_bytes(content)
    assert_refused(call("train", *CSV), "table.csv: ", *said)
    assert everything_under(tmp_path) == {"table.csv"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("tabel.csv", ("tabel.csv: no such file; did you mean 'table.csv'? There are: OTHER.CSV, table.csv",)),
        ("iriss.data", ("no such file; did you mean 'iris.data'? There are: OTHER.CSV, iris.data, table.csv",)),
        ("nowhere/t.csv", ("nowhere/t.csv: no such file",)),
        ("folder", ("folder: is a folder, expected a CSV file",)),
    ],
)
def test_a_path_without_a_table(path: str, said: tuple[str, ...], call: Call, tmp_path: Path) -> None:
    """A file that is missing, or a folder."""
    (tmp_path / "table.csv").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    for name in ("OTHER.CSV", "iris.data", "notes.md"):  # the last is no table, and not offered as one
        (tmp_path / name).write_text(GOOD)
    answer = call("train", "data=csv", f"data.path={path}", "data.target=y")
    assert_refused(answer, *said)
    assert "notes.md" not in answer.err
    assert everything_under(tmp_path) == {"table.csv", "OTHER.CSV", "iris.data", "notes.md", "folder"}


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("[a,bb]", ("table.csv: has no column 'bb'; did you mean 'b'?",)),
        ("[a,y]", ("data.features holds the target 'y'",)),
        ("[a,a]", ("data.features names a column twice: a, a",)),
        ("[]", ("data.features must be a list of column names, [a,b], found []",)),
        ("a", ("data.features must be a list of column names, [a,b], found 'a'",)),
    ],
)
def test_features_that_are_none(features: str, said: tuple[str, ...], call: Call, tmp_path: Path) -> None:
    """The nearest column is offered."""
    (tmp_path / "table.csv").write_text(GOOD)
    assert_refused(call("train", *CSV, f"data.features={features}"), *said)
    assert everything_under(tmp_path) == {"table.csv"}


def test_too_few_rows_for_the_parts(call: Call, tmp_path: Path) -> None:
    """Two rows cannot be three parts; a part that is asked for is never empty in silence."""
    (tmp_path / "table.csv").write_text("a,y\n1,2\n2,4\n")
    assert_refused(call("train", *CSV), "leave 0 of 2 rows for training", "data.val_fraction=0.15")
    assert everything_under(tmp_path) == {"table.csv"}


def test_a_folder_named_by_the_user_is_not_left_behind(call: Call, tmp_path: Path) -> None:
    """hydra.run.dir=DIR of a run that never started is gone; what else stands there is kept."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert_refused(call("train", "optimizer.lr=0", "hydra.run.dir=mine/run"), "optimizer.lr")
    assert everything_under(tmp_path) == {"mine", "mine/notes.txt"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run to break in copies."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    trained(folder, "trainer.max_epochs=3", "logger=none")
    return folder


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BREAKAGES = {
    "missing": (lambda run: shutil.rmtree(run), ("run: no such folder",)),
    "no run folder": (lambda run: shutil.rmtree(run / ".hydra"), ("run: is no run folder", ".hydra/config.yaml")),
    "no checkpoint": (lambda run: shutil.rmtree(run / "checkpoints"), ("run: has no checkpoint checkpoints/",)),
    "truncated": (
        lambda run: [_truncate(path) for path in (run / "checkpoints").iterdir()],
        ("ckpt: is not a whole checkpoint",),
    ),
    "empty": (
        lambda run: [path.write_bytes(b"") for path in (run / "checkpoints").iterdir()],
        ("ckpt: is not a whole checkpoint",),
    ),
    "no checkpoint at all": (
        lambda run: [path.write_text("weights: none") for path in (run / "checkpoints").iterdir()],
        ("ckpt: is not a whole checkpoint",),
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize(
    ("door", "key"),
    [
        ("evaluate", "run=run"),
        ("predict", "run=run input=new.csv"),
        ("export", "run=run format=all"),
        ("train", "resume=run"),
    ],
)
def test_a_run_that_is_broken(door: str, key: str, breakage: str, call: Call, finished: Path, tmp_path: Path) -> None:
    """evaluate, predict, export and resume name the folder or the file, and write nothing."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "new.csv").write_text("wt\n3\n")
    break_it, said = BREAKAGES[breakage]
    break_it(tmp_path / "run")
    before = everything_under(tmp_path)
    assert_refused(call(door, *key.split()), *said)
    assert everything_under(tmp_path) == before


@pytest.mark.parametrize("door", ["evaluate", "predict", "export"])
def test_a_configuration_that_is_none(door: str, call: Call, finished: Path, tmp_path: Path) -> None:
    """A .hydra/config.yaml that is no configuration of a run, or of another net."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "new.csv").write_text("wt,name\n3,x\n")
    inputs = ["input=new.csv"] if door == "predict" else []
    config = tmp_path / "run" / ".hydra" / "config.yaml"
    whole = config.read_text()
    config.write_text("a: [1\n")
    assert_refused(call(door, "run=run", *inputs), "run=run: .hydra cannot be read")
    config.write_text("a: 1\n")
    assert_refused(call(door, "run=run", *inputs), "run=run: .hydra/config.yaml is not the configuration of a run")
    config.write_text(whole.replace("src.models.linear.linear", "src.models.mlp.MLP"))
    assert_refused(call(door, "run=run", *inputs), "model.init: src.models.mlp.MLP takes no 'init'")


@pytest.mark.parametrize("door", ["evaluate", "predict", "export"])
def test_a_command_without_its_run(door: str, call: Call, tmp_path: Path) -> None:
    """What is missing is named; checkpoint= is one of two."""
    assert_refused(call(door), "run has to be given, as in run=…")
    extra = ("input=x",) if door == "predict" else ()
    assert_refused(call(door, "run=x", "checkpoint=x", *extra), "checkpoint must be one of best, last, found 'x'")
    assert everything_under(tmp_path) == set()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("model=mlp", ("model._target_ was src.models.linear.linear, found src.models.mlp.MLP",)),
        ("model=scratch", ("model._target_ was src.models.linear.linear, found src.models.scratch.Scratch",)),
        ("model.init.weight=1.0", ("model.init.weight was null, found 1.0",)),
        ("model.initt=1", ("the run has no model.initt; did you mean",)),
        ("data.features=[hp]", ("data.features was [wt], found [hp]",)),
        ("data.target=hp", ("data.target was mpg, found hp",)),
        ("data.val_fraction=0.2", ("data.val_fraction was 0.0, found 0.2",)),
        ("data.standardize=true", ("data.standardize was auto, found true",)),
        ("data=synthetic", ("data._target_ was src.data.sources.cars, found src.data.sources.synthetic",)),
        ("seed=1", ("seed was 0, found 1",)),
        ("trainer.precision=64-true", ("trainer.precision was 32-true, found 64-true",)),
        ("optimizer=adam", ("optimizer._target_ was torch.optim.SGD, found torch.optim.Adam",)),
        ("scheduler=step", ("scheduler._target_ was null, found torch.optim.lr_scheduler.StepLR",)),
        ("data.batch_size=4 trainer.max_steps=9", ("data.batch_size was null, found 4", "trainer.max_steps")),
        ("optimizer.lr=-1", ("optimizer.lr must be a number above 0, found -1",)),
        ("hydra.run.dir=run", ("hydra.run.dir=run holds files that are not a run's",)),
    ],
)
def test_a_run_that_another_cannot_go_on_from(
    overrides: str, said: tuple[str, ...], call: Call, finished: Path, tmp_path: Path
) -> None:
    """Refused before training, and what the run came to is still there."""
    shutil.copytree(finished, tmp_path / "run")
    assert_refused(call("train", "resume=run", *overrides.split()), *said)
    assert not (tmp_path / "outputs").exists()
    assert RunFolder(tmp_path / "run").checkpoint("last").is_file()
    assert RunFolder(tmp_path / "run").summary.is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ("new.csv: is empty",)),
        (b"wt,name\n", ("new.csv: has a header but no rows",)),
        (b"wtt,name\n3,x\n", ("new.csv: has no column 'wt'; did you mean 'wtt'?",)),
        (b"prose\nand more\n", ("new.csv: has no column 'wt'; there are: prose",)),
        (b"hp,name\n3,x\n", ("new.csv: has no column 'wt'; there are: hp, name",)),
        (b"wt,name\n3,x\nheavy,y\n", ("new.csv: row 2 (line 3), column 'wt'", "the text 'heavy'")),
        (b"wt,name\n3,x\n,y\n", ("new.csv: row 2 (line 3), column 'wt'", "an empty cell")),
        (b"wt,name\n3,x\ninf,y\n", ("new.csv: row 2 (line 3), column 'wt'", "'inf'")),
        (b"wt,name\n3,x\n4\n", ("new.csv: row 2 (line 3)", "in the header: 2, found 1")),
        (b"wt,mpg_predicted\n3,1\n", ("new.csv: has a column 'mpg_predicted' already",)),
        (b"wt,name\n3,x\n4,\x81\n", ("new.csv: is not UTF-8 text (line 3, byte 3: 0x81)",)),
    ],
)
def test_rows_that_cannot_be_predicted(
    content: bytes, said: tuple[str, ...], call: Call, finished: Path, tmp_path: Path
) -> None:
    """The input's file, row and column are named, and no file is written."""
    (tmp_path / "new.csv").write_bytes(content)
    assert_refused(call("predict", f"run={finished}", "input=new.csv", "output=out.csv"), *said)
    assert everything_under(tmp_path) == {"new.csv"}


def test_an_output_that_cannot_be_written(call: Call, finished: Path, tmp_path: Path) -> None:
    """A folder stands where the predictions should go."""
    (tmp_path / "new.csv").write_text("wt,name\n3,x\n")
    (tmp_path / "out.csv").mkdir()
    answer = call("predict", f"run={finished}", "input=new.csv", "output=out.csv")
    assert_refused(answer, "output=out.csv: cannot be written")


@pytest.mark.parametrize(
    ("overrides", "sound", "said"),
    [
        ("optimizer.lr=fast,0.01", "completed", ("optimizer.lr must be a number above 0, found 'fast'",)),
        ("data.batch_size=0,8", "completed", ("data.batch_size must be", "found 0")),
        ("data=csv data.path=no.csv data.target=y seed=0,1", "failed", ("no.csv: no such file",)),
        ("data=csv data.target=y seed=0,1", "failed", ("data.path has to be given",)),
        ("optimizer.lrr=0.1,0.2", None, ("optimizer.lrr", "did you mean optimizer.lr?")),
        ("model=mpl,linear", None, ("model=mpl", "linear")),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # a sweep without one finished run has little to draw
def test_a_mistake_in_a_sweep(
    overrides: str, sound: str | None, said: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    """One line, a code and no traceback; a job that is sound is trained all the same."""
    options = ("trainer.max_epochs=1", "logger=none", "hydra.sweep.dir=sweep")
    assert_refused(call("train", "-m", *overrides.split(), *options), *said)
    assert not (tmp_path / "outputs").exists()
    assert RunFolder(tmp_path / "sweep" / "1").read_summary().get("status") == sound
    assert sound or not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("src.train optimizer.lr=fast", ("optimizer.lr must be a number above 0, found 'fast'",)),
        ("src.train data=csv data.path=no.csv data.target=y", ("no.csv: no such file",)),
        ("src.train optimizer.lrr=0.1", ("optimizer.lrr", "did you mean optimizer.lr?")),
        ("src.predict run=nowhere input=x.csv", ("run=nowhere: no such folder",)),
    ],
)
def test_in_a_process_of_its_own(arguments: str, said: tuple[str, ...], tmp_path: Path) -> None:
    """What the tests above see is what a shell sees."""
    assert_refused(ended(start(tmp_path, "-m", *arguments.split())), *said)
    assert everything_under(tmp_path) == set()


def test_hydra_full_error_shows_where(tmp_path: Path) -> None:
    """HYDRA_FULL_ERROR=1 is for whoever looks for the place in the code."""
    answer = ended(start(tmp_path, "-m", "src.train", "optimizer.lr=fast", HYDRA_FULL_ERROR="1"))
    assert answer.code == 1
    assert "Traceback" in answer.err
    assert "src/config/check.py" in answer.err
    assert "UserError: optimizer.lr must be a number above 0, found 'fast'" in answer.err
