"""What the commands leave behind, print and return, from the outside."""

import contextlib
import csv
import json
import shutil
import signal
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch

from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from tests.commands import Answer, Call, ended, everything_under, run_here, start

STABLE = "the largest stable learning rate of this data is 0.08195"
SHORT = ("trainer.max_epochs=3", "logger=none", "figures=false")


def only_run(outputs: Path) -> RunFolder:
    """The one run below outputs/train/DATE."""
    (path,) = (outputs / "train").glob("*/*")
    return RunFolder(path)


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Answer]:
    """``python -m src.train`` without a word more, in a process of its own."""
    cwd = tmp_path_factory.mktemp("default")
    answer = ended(start(cwd, "-m", "src.train"))
    assert answer.code == 0, answer.err
    assert {path.name for path in cwd.iterdir()} == {"outputs"}
    return only_run(cwd / "outputs"), answer


@pytest.fixture(scope="module")
def csv_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A net on a CSV file that was named by a path relative to where the run was started."""
    cwd = tmp_path_factory.mktemp("csv")
    (cwd / "data").mkdir()
    rows = [f"{i / 7},{i * i % 11},{3 * i - i * i % 5}" for i in range(60)]
    (cwd / "data" / "table.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    data = ("data=csv", "data.path=data/table.csv", "data.target=y")
    with contextlib.chdir(cwd):
        assert run_here("train", *data, "model=mlp", "hydra.run.dir=run", *SHORT) == 0
    return RunFolder(cwd / "run")


def test_a_run_folder_holds_what_it_says(default_run: tuple[RunFolder, Answer]) -> None:
    """Exactly these files; its name is the time and the model."""
    folder, _ = default_run
    found = {name for name in everything_under(folder.path) if (folder.path / name).is_file()}
    events = {name for name in found if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert found - events == {
        *(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")),
        "train.log",
        "summary.json",
        "metrics.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        *(f"figures/{name}.png" for name in ("curves", "fit", "residuals")),
    }
    stamp = f"{folder.path.parent.name} {folder.path.name}"
    assert datetime.now() - datetime.strptime(stamp, "%Y-%m-%d %H-%M-%S-linear") < timedelta(minutes=10)


def test_the_summary_says_what_was_run_and_what_came_out(default_run: tuple[RunFolder, Answer]) -> None:
    """Every key of the contract, and figures that belong together."""
    folder, _ = default_run
    summary = folder.read_summary()
    assert set(summary) == {
        *("status", "command", "overrides", "seed", "epochs", "steps", "metrics", "objective"),
        *("parameters", "reference", "seconds", "data", "environment"),
    }
    assert (summary["status"], summary["epochs"], summary["steps"], summary["seed"]) == ("completed", 1000, 1000, 0)
    assert (summary["command"], summary["overrides"]) == ("python -m src.train", [])
    assert set(summary["metrics"]) == {f"train/{name}" for name in ("mse", "rmse", "mae", "r2")}
    assert summary["objective"] == {"name": "train/mse", "value": summary["metrics"]["train/mse"]}
    assert set(summary["parameters"]) == {"slope", "intercept"}
    assert set(summary["reference"]) == {"slope", "intercept", "mse", "r2"}
    assert summary["reference"]["slope"] == pytest.approx(-5.344472, abs=1e-6)  # R: lm(mpg ~ wt, mtcars)
    assert summary["reference"]["intercept"] == pytest.approx(37.285126, abs=1e-6)
    seconds = summary["seconds"]
    assert set(seconds) == {"load", "fit", "write", "total"}
    assert 0 < seconds["load"] + seconds["fit"] + seconds["write"] < seconds["total"]
    data = summary["data"]
    assert (data["rows"], data["features"], data["target"]) == (32, ["wt"], "mpg")
    assert len(data["sha256"]) == 64
    known = {"python", "torch", "lightning", "hydra", "optuna", "device", "threads", "git", "dirty"}
    assert known <= set(summary["environment"])


def test_metrics_have_a_row_for_every_epoch(default_run: tuple[RunFolder, Answer]) -> None:
    """Loss, slope and intercept; the last row is what the summary says."""
    folder, _ = default_run
    with folder.metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "step", "train/loss", "slope", "intercept"]
    assert [int(row["epoch"]) for row in rows] == list(range(1, 1001))
    for name, value in folder.read_summary()["parameters"].items():
        assert float(rows[-1][name]) == value


def test_validation_adds_its_columns(csv_run: RunFolder) -> None:
    """A net with validation rows logs val/…, and no slope."""
    assert set(csv_run.read_metrics()) == {
        *("epoch", "step", "train/loss"),
        *(f"val/{name}" for name in ("mse", "rmse", "mae", "r2")),
    }
    summary = csv_run.read_summary()
    assert summary["objective"]["name"] == "val/mse"
    assert {name.partition("/")[0] for name in summary["metrics"]} == {"train", "val", "test"}


def test_the_table_at_the_end(default_run: tuple[RunFolder, Answer]) -> None:
    """Metrics, the line beside the least-squares one, the folder and the TensorBoard command."""
    folder, answer = default_run
    summary = folder.read_summary()
    mse, slope = summary["metrics"]["train/mse"], summary["parameters"]["slope"]
    for words in (f"{mse:.6g}", f"{slope:.6f}", "-5.344472", "tensorboard --logdir outputs", folder.path.name):
        assert words in answer.out
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("name", ["best", "last"])
def test_checkpoints_are_tensors_and_plain_values(default_run: tuple[RunFolder, Answer], name: str) -> None:
    """Both load with weights_only=True."""
    folder, _ = default_run
    state = torch.load(folder.checkpoint(name), weights_only=True)
    assert state["state_dict"]["net.weight"].item() == folder.read_summary()["parameters"]["slope"]


def test_evaluate_repeats_the_run_from_anywhere(
    default_run: tuple[RunFolder, Answer], csv_run: RunFolder, call: Call
) -> None:
    """To the last bit; also where the data was named by a relative path."""
    for folder in (default_run[0], csv_run):
        metrics = folder.read_summary()["metrics"]
        before = everything_under(folder.path)
        answer = call("evaluate", f"run={folder.path}")
        assert answer.code == 0, answer.err
        for value in metrics.values():
            assert f"{value:.6g}" in answer.out
        assert evaluate(str(folder.path), "best") == metrics
        assert everything_under(folder.path) == before
    assert everything_under(Path.cwd()) == set()


def test_predict_needs_the_run_folder_and_nothing_else(csv_run: RunFolder, call: Call, tmp_path: Path) -> None:
    """The data is gone and the folder has moved; columns of text come out as they went in."""
    shutil.copytree(csv_run.path, tmp_path / "moved")
    table = csv_run.path.parent / "data" / "table.csv"
    lines = table.read_text().splitlines()[1:6]
    names = ["007", "NA", "x;y", "", "ü"]
    inputs = ["name,b,a", *(f"{name},{b},{a}" for name, (a, b, _) in zip(names, map(_cells, lines), strict=True))]
    (tmp_path / "new.csv").write_text("\n".join(inputs) + "\n", encoding="utf-8")
    table.rename(table.with_suffix(".away"))
    try:
        answer = call("predict", "run=moved", "input=new.csv")
    finally:
        table.with_suffix(".away").rename(table)
    assert answer.code == 0, answer.err
    with (tmp_path / "moved" / "predictions" / "new.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "b", "a", "y_predicted"]
    assert [row["name"] for row in rows] == names
    assert [(row["a"], row["b"]) for row in rows] == [tuple(_cells(line)[:2]) for line in lines]
    # Held against the weights themselves: standardized, two hidden layers of ReLU, and back.
    state = torch.load(RunFolder(tmp_path / "moved").checkpoint("best"), weights_only=True)
    encoder, weights = state["DataModule"], list(state["state_dict"].values())
    names = [column["name"] for column in encoder["columns"]]
    raw = torch.tensor([[float(row[name]) for name in names] for row in rows], dtype=torch.float64)
    hidden = ((raw - encoder["numbers"]["shift"]) / encoder["numbers"]["scale"]).float()
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        hidden = torch.relu(hidden @ weight.T + bias)
    expected = (hidden @ weights[-2].T + weights[-1])[:, 0].double() * encoder["target"]["scale"]
    expected += encoder["target"]["shift"]
    assert [float(row["y_predicted"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-5)


def _cells(line: str) -> list[str]:
    return line.split(",")


def test_one_feature_is_input_enough(default_run: tuple[RunFolder, Answer], call: Call, tmp_path: Path) -> None:
    """A file of the feature alone; each prediction lies on the learned line."""
    (tmp_path / "new.csv").write_text("wt\n2\n3.5\n")
    answer = call("predict", f"run={default_run[0].path}", "input=new.csv", "output=out.csv")
    assert answer.code == 0, answer.err
    line = default_run[0].read_summary()["parameters"]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [(float(row["wt"]), float(row["mpg_predicted"])) for row in csv.DictReader(file)]
    assert [wt for wt, _ in rows] == [2, 3.5]
    for wt, predicted in rows:
        assert predicted == pytest.approx(line["slope"] * wt + line["intercept"], rel=1e-6)


def test_a_run_that_diverges(call: Call, tmp_path: Path) -> None:
    """Exit code 1, the step and the largest learning rate that would have been stable; the folder is whole."""
    answer = call("train", "optimizer.lr=0.1", "hydra.run.dir=run")
    assert answer.code == 1
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary["status"] == "diverged"
    assert summary["objective"] == {"name": "train/mse", "value": None}  # JSON knows no infinity
    assert summary["metrics"] == {}
    assert f"the loss of optimizer step {summary['steps']} was " in answer.out
    assert "more than 1e+12 times that of predicting 0 everywhere" in answer.out
    assert STABLE in answer.out
    assert "Traceback" not in answer.out + answer.err
    assert 1 < summary["steps"] < 1000


def test_the_largest_stable_rate_is_the_largest(call: Call, tmp_path: Path) -> None:
    """A little below it learns, a little above it does not."""
    # Whatever stands in the direction that diverges grows by (1 - lr λ)² a step, here 1.013² for the second.
    options = ("model.init.weight=0", "model.init.bias=0", "trainer.max_epochs=5000", *SHORT[1:])
    below = call("train", "optimizer.lr=0.0819", "hydra.run.dir=below", *options)
    above = call("train", "optimizer.lr=0.0825", "hydra.run.dir=above", *options)
    assert (below.code, above.code) == (0, 1)


def test_a_sweep_goes_on_past_a_run_that_diverged(call: Call, tmp_path: Path) -> None:
    """All three finish, the third as diverged, and the exit code is 0."""
    answer = call("train", "-m", "optimizer.lr=0.001,0.02,0.1", "hydra.sweep.dir=sweep")
    assert answer.code == 0, answer.err
    summaries = [RunFolder(tmp_path / "sweep" / str(number)).read_summary() for number in range(3)]
    assert [summary["status"] for summary in summaries] == ["completed", "completed", "diverged"]
    assert [summary["overrides"] for summary in summaries] == [[f"optimizer.lr={lr}"] for lr in (0.001, 0.02, 0.1)]
    assert summaries[1]["objective"]["value"] < summaries[0]["objective"]["value"]
    assert STABLE in answer.out
    assert "Traceback" not in answer.err
    assert "epoch 1000/1000" not in answer.out  # the epochs of each run would drown what a sweep has to say, ...
    assert "epoch 3/3" in call("train", *SHORT).out  # ... and no other run's


def test_optuna_searches(call: Call, tmp_path: Path) -> None:
    """Three trials, the best of which Hydra writes down."""
    answer = call(
        "train",
        *("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=1"),
        *("optimizer.lr=interval(0.001,0.05)", "hydra.sweep.dir=sweep", *SHORT),
    )
    assert answer.code == 0, answer.err
    values = [RunFolder(tmp_path / "sweep" / str(number)).read_summary()["objective"]["value"] for number in range(3)]
    assert len(set(values)) == 3
    results = (tmp_path / "sweep" / "optimization_results.yaml").read_text()
    assert f"best_value: {min(values)!r}" in results


def test_ctrl_c(tmp_path: Path) -> None:
    """last.ckpt is written, the status is interrupted and the exit code 130."""
    process = start(tmp_path, "-m", "src.train", "trainer.max_epochs=100000000", "hydra.run.dir=run", *SHORT[1:])
    folder = RunFolder(tmp_path / "run")
    patience = time.monotonic() + 60
    while not folder.metrics.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    answer = ended(process)
    assert answer.code == 130, answer
    assert "Traceback" not in answer.out + answer.err
    summary = folder.read_summary()
    assert summary["status"] == "interrupted"
    state = torch.load(folder.checkpoint("last"), weights_only=True)
    assert state["epoch"] + 1 >= summary["epochs"] > 1
    assert folder.read_metrics()["epoch"][-1] == summary["epochs"]
    assert state["state_dict"]["net.weight"].item() == summary["parameters"]["slope"]


def test_two_launches_in_one_second_get_two_folders(call: Call, tmp_path: Path) -> None:
    """Whatever folder this second's run would take is taken already."""
    now = datetime.now()
    taken = [now + timedelta(seconds=second) for second in range(60)]
    folders = [tmp_path / "outputs" / "train" / f"{at:%Y-%m-%d}" / f"{at:%H-%M-%S}-linear" for at in taken]
    for folder in folders:
        folder.mkdir(parents=True)
    assert call("train", *SHORT).code == 0
    assert not any(everything_under(folder) for folder in folders)
    (run,) = set((tmp_path / "outputs" / "train").glob("*/*")) - set(folders)
    assert run.name.endswith("-linear-2")
    assert RunFolder(run).read_summary()["status"] == "completed"


def test_two_sweeps_in_one_second_get_two_folders(call: Call, tmp_path: Path) -> None:
    """The same for a sweep."""
    now = datetime.now()
    taken = [now + timedelta(seconds=second) for second in range(60)]
    folders = [tmp_path / "outputs" / "sweeps" / f"{at:%Y-%m-%d}" / f"{at:%H-%M-%S}-linear" for at in taken]
    for folder in folders:
        folder.mkdir(parents=True)
    assert call("train", "-m", "seed=0,1", *SHORT).code == 0
    assert not any(everything_under(folder) for folder in folders)
    (sweep,) = set((tmp_path / "outputs" / "sweeps").glob("*/*")) - set(folders)
    assert [RunFolder(sweep / number).read_summary()["seed"] for number in "01"] == [0, 1]


def test_a_folder_of_ones_own(call: Call, tmp_path: Path) -> None:
    """hydra.run.dir=DIR is where the run goes, and no other run goes there."""
    assert call("train", "hydra.run.dir=a/b", *SHORT).code == 0
    assert call("train", "hydra.run.dir=a/b", "trainer.max_epochs=9", *SHORT[1:]).code == 2
    assert {path.name for path in tmp_path.iterdir()} == {"a"}
    folder = RunFolder(tmp_path / "a" / "b")
    assert folder.read_summary()["epochs"] == 3
    assert folder.read_metrics()["epoch"] == [1, 2, 3]


def test_runs_by_words(call: Call, tmp_path: Path) -> None:
    """last is the newest run, best that of the newest sweep, and a checkpoint's path names its run."""
    for word, folder in (("run=last", "outputs/train"), ("run=best", "outputs/sweeps")):
        answer = call("evaluate", word)
        assert answer.lines[-1].startswith(f"{word}: there is none in {folder}/ yet")
    assert call("train", "trainer.max_epochs=2", *SHORT[1:]).code == 0
    assert call("train", "resume=last", "trainer.max_epochs=5").code == 0
    first, second = sorted((tmp_path / "outputs" / "train").glob("*/*"), key=lambda path: path.stat().st_mtime)
    assert RunFolder(second).read_summary()["epochs"] == 5
    assert f"resume={first.relative_to(tmp_path)}" in RunFolder(second).config.read_text().replace(": ", "=")
    assert call("train", "-m", "optimizer.lr=0.001,0.02,0.005", *SHORT).code == 0
    last, best = call("evaluate", "run=last").out, call("evaluate", "run=best").out
    assert last == call("evaluate", f"run={second}").out != best
    [sweep] = (tmp_path / "outputs" / "sweeps").glob("*/*")
    assert best == call("evaluate", f"run={sweep}/1").out
    assert call("report", "sweep=last").code == 0
    (second / "checkpoints" / "best.ckpt").unlink()
    assert call("evaluate", f"run={second}").code == 2
    assert call("evaluate", f"run={second}/checkpoints/last.ckpt").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], "Examples:"),
        (["--cfg", "job"], "max_epochs: 1000"),
        (["optimizer.lrr=0.1"], "did you mean optimizer.lr?"),
        (["optimizer.lr=fast"], "found 'fast'"),
        (["data=csv", "data.path=no.csv", "data.target=y"], "no.csv: no such file"),
    ],
)
def test_what_imports_no_torch(arguments: list[str], said: str, tmp_path: Path) -> None:
    """Help, the configuration and a mistake come at once."""
    program = (
        "import atexit, runpy, sys\n"
        "heavy = ('torch', 'lightning', 'pandas', 'sklearn', 'matplotlib')\n"
        "atexit.register(lambda: print('heavy:', [name for name in heavy if name in sys.modules]))\n"
        "runpy.run_module('src.train', run_name='__main__', alter_sys=True)\n"
    )
    answer = ended(start(tmp_path, "-c", program, *arguments))
    assert said in answer.out + answer.err
    assert "heavy: []" in answer.out
    assert everything_under(tmp_path) == set()


def test_a_summary_is_read_by_any_json_reader(default_run: tuple[RunFolder, Answer]) -> None:
    """No NaN or Infinity in the summary of a run that completed."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    folder, _ = default_run
    json.loads(folder.summary.read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("arguments", "sweeps"),
    [
        (["experiment=learning_rate"], True),
        (["sweep=lr", "seed=3"], True),
        (["experiment=model_class"], False),
        (["experiment=nonesuch"], False),
        (["sweep=null"], False),
        (["experiment=learning_rate", "--cfg", "job"], False),
        (["sweep=lr", "hydra.mode=RUN"], False),
        (["optimizer.lr=0.1"], False),
    ],
)
def test_what_sweeps_without_being_told(arguments: list[str], sweeps: bool) -> None:
    from src.train import is_sweep

    assert is_sweep(arguments) is sweeps
    sys.modules.pop("src.train")  # other tests run it as a program
