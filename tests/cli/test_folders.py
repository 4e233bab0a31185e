"""A run's folder is new or empty, and its own: what lies in any other is left as it is."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.lock import claimed
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call, ended, start

SHORT = ("trainer.max_epochs=3", "logger=none", "figures=false")


def content(folder: Path) -> dict[str, bytes]:
    """Every file below, with what is in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user's with files that have a run's names."""
    folder = tmp_path / "mine"
    for name in ("figures/holiday.png", "checkpoints/thesis.ckpt", "metrics.csv", "summary.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("where", ["mine", "./mine/", "link", "mine/figures"])
@pytest.mark.parametrize("more", ["", "optimizer.lr=0"])
def test_a_folder_of_the_users_is_left_alone(where: str, more: str, call: Call, mine: Path, tmp_path: Path) -> None:
    """Refused in one line that names it, whatever else is wrong; also behind a link."""
    (tmp_path / "link").symlink_to("mine")
    before = content(tmp_path)
    answer = call("train", f"hydra.run.dir={where}", *more.split(), *SHORT)
    assert_refused(answer, f"hydra.run.dir={Path(where)} is not empty", "choose another")
    assert content(tmp_path) == before
    assert (tmp_path / "link").is_symlink()


def test_here_is_a_folder_as_any_other(call: Call, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    before = content(mine)
    assert_refused(call("train", "hydra.run.dir=.", *SHORT), "hydra.run.dir=. is not empty")
    assert content(mine) == before


def test_an_empty_folder_will_do(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the current one, which a run that never started does not take away."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert_refused(call("train", "hydra.run.dir=.", "optimizer.lr=0"), "optimizer.lr")
    assert not any((tmp_path / "empty").iterdir())
    assert call("train", "hydra.run.dir=.", *SHORT).code == 0
    assert RunFolder(tmp_path / "empty").read_summary()["status"] == "completed"


@pytest.mark.parametrize("more", ["", "seed=1", "optimizer.lr=0"])
def test_a_finished_run_is_not_overwritten(more: str, call: Call, tmp_path: Path) -> None:
    """The line says how to go on with it; it can still be evaluated."""
    assert call("train", "hydra.run.dir=run", *SHORT).code == 0
    before = content(tmp_path / "run")
    answer = call("train", "hydra.run.dir=run", *more.split(), *SHORT)
    assert_refused(answer, "hydra.run.dir=run is not empty", "resume=run")
    assert content(tmp_path / "run") == before
    assert call("evaluate", "run=run").code == 0


def test_a_file_in_its_place(call: Call, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    assert_refused(call("train", "hydra.run.dir=run", *SHORT), "hydra.run.dir=run cannot be written: File exists")
    assert (tmp_path / "run").read_text() == "mine"


def test_a_second_process_keeps_out(tmp_path: Path) -> None:
    """One trains, the other is refused and touches nothing; after the first was killed the folder is still its own."""
    line = ("-m", "src.train", "hydra.run.dir=run", "logger=none", "figures=false", "trainer.max_epochs=100000000")
    (tmp_path / "run").mkdir()
    first = start(tmp_path, *line)
    patience = time.monotonic() + 60
    while not (tmp_path / "run" / "metrics.csv").exists() and first.poll() is None and time.monotonic() < patience:
        time.sleep(0.1)
    config = (tmp_path / "run" / ".hydra" / "config.yaml").read_bytes()
    second = ended(start(tmp_path, *line, "seed=1"))
    assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    ended(first)
    assert_refused(second, "hydra.run.dir=run: another process is at work there")
    assert (tmp_path / "run" / ".hydra" / "config.yaml").read_bytes() == config
    assert_refused(ended(start(tmp_path, *line)), "hydra.run.dir=run is not empty", "resume=run")


def test_two_claims_to_an_empty_folder(tmp_path: Path) -> None:
    """The lock holds before anything is written, and is let go."""
    with claimed(tmp_path / "run", "run"), pytest.raises(UserError, match="run: another process"):
        claimed(tmp_path / "run", "run").__enter__()
    with claimed(tmp_path / "run", "run"):
        pass


@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_a_sweep_of_ones_own_folder(launcher: str, call: Call, mine: Path, tmp_path: Path) -> None:
    """A grid starts in a new folder."""
    shutil.copytree(mine, tmp_path / "sweep" / "1")
    (tmp_path / "sweep" / "multirun.yaml").write_text("mine")
    before = content(tmp_path)
    answer = call("train", "-m", "seed=0,1", "hydra.sweep.dir=sweep", f"hydra/launcher={launcher}", *SHORT)
    assert_refused(answer, "hydra.sweep.dir=sweep is not empty")
    assert content(tmp_path) == before


def durable(*more: str) -> tuple[str, ...]:
    return ("train", "-m", "sweep=seeds", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=sweep", *SHORT, *more)


def test_a_durable_sweep_goes_on_in_the_folder_of_a_killed_trial(call: Call, tmp_path: Path) -> None:
    """Of what the killed attempt left nothing stays."""
    assert call(*durable()).code == 0
    left = RunFolder(tmp_path / "sweep" / "2")
    shutil.copytree(tmp_path / "sweep" / "1", left.path)
    left.summary.unlink()
    (left.path / "figures").mkdir()
    (left.path / "figures" / "fit.png").write_text("of the killed attempt")
    (left.path / "summary.json.1.partial").write_text("{")
    answer = call(*durable("hydra.sweeper.n_trials=3"))
    assert answer.code == 0, answer.err
    assert left.read_summary()["seed"] == 2
    assert not left.figures.exists()
    assert not list(left.path.glob("*.partial"))


def test_a_durable_sweep_touches_no_files_of_the_users(call: Call, mine: Path, tmp_path: Path) -> None:
    """Nor a run that was asked for otherwise; the trial waits until they are moved."""
    assert call(*durable()).code == 0
    shutil.copytree(mine, tmp_path / "sweep" / "2")
    before = content(tmp_path / "sweep" / "2")
    answer = call(*durable("hydra.sweeper.n_trials=3"))
    assert_refused(answer, "sweep/2 holds files that are not a run's of this sweep")
    assert content(tmp_path / "sweep" / "2") == before
    shutil.rmtree(tmp_path / "sweep" / "2")
    shutil.copytree(tmp_path / "sweep" / "1", tmp_path / "sweep" / "2")
    before = content(tmp_path / "sweep" / "2")
    answer = call(*durable("hydra.sweeper.n_trials=3"))
    assert_refused(answer, "sweep/2 holds a run with other overrides: move it away")
    assert content(tmp_path / "sweep" / "2") == before
    shutil.rmtree(tmp_path / "sweep" / "2")
    assert call(*durable("hydra.sweeper.n_trials=3")).code == 0
    assert RunFolder(tmp_path / "sweep" / "2").read_summary()["seed"] == 2


def test_clear_deletes_in_no_folder_but_a_run_s(mine: Path, tmp_path: Path) -> None:
    """Whoever calls it."""
    before = content(mine)
    for again in (None, [], ["seed=1"]):
        with pytest.raises(UserError, match="mine "):
            RunFolder(mine).clear(again)
    (tmp_path / "link").symlink_to(mine)
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / "figures").symlink_to(mine / "figures")
    with pytest.raises(UserError, match="run "):
        RunFolder(tmp_path / "run").clear([])
    assert content(mine) == before
    other = tmp_path / "other"  # of another Hydra program
    shutil.copytree(mine, other)
    (other / "summary.json").write_text(json.dumps({"overrides": []}))
    (other / ".hydra").mkdir()
    (other / ".hydra" / "hydra.yaml").write_text("hydra:\n  callbacks: {}\n")
    (other / ".hydra" / "overrides.yaml").write_text("[]\n")
    with pytest.raises(UserError, match="other holds files that are not"):
        RunFolder(other).clear([])
    assert (other / "figures" / "holiday.png").is_file()
