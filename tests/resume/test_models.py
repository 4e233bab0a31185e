"""``resume=DIR`` of a run of several models."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call
from tests.faults.process import Forked, warm
from tests.faults.same import differences

RUN = ("model=mlp", "model.hidden=[6]", "optimizer=adam", "folds=3", "logger=none", "baselines=false")
EARLY = ("callbacks=early_stopping", "callbacks.early_stopping.patience=2", "optimizer.lr=0.1", "data.batch_size=6")


def summary_of(path: str) -> dict[str, Any]:
    return json.loads(Path(path, "summary.json").read_text())


def test_each_model_goes_on_from_its_own_run(call: Call, tmp_path: Path) -> None:
    """To what a run that never stopped comes to; evaluate and a further resume find whole models."""
    assert call("train", *RUN, "trainer.max_epochs=5", "hydra.run.dir=run").code == 0
    assert call("train", *RUN, "trainer.max_epochs=9", "hydra.run.dir=whole").code == 0
    answer = call("train", "resume=run", "trainer.max_epochs=9", "hydra.run.dir=more")
    assert answer.code == 0, answer.err
    more, whole = summary_of("more"), summary_of("whole")
    assert (more["epochs"], more["steps"]) == (9, 9)
    assert more["metrics"] == pytest.approx(whole["metrics"], rel=1e-4)
    assert more["metrics"]["oof/mse"] != pytest.approx(summary_of("run")["metrics"]["oof/mse"], rel=1e-3)
    assert evaluate("more", "best") == more["metrics"]
    answer = call("train", "resume=more", "hydra.run.dir=nothing")
    assert (answer.code, "nothing is left to do" in answer.out, Path("nothing").exists()) == (0, True, False)


def test_a_model_that_is_done_stays_as_it_is(call: Call, tmp_path: Path) -> None:
    """It is copied, and the others go on."""
    assert call("train", *RUN, *EARLY, "trainer.max_epochs=5", "hydra.run.dir=run").code == 0
    ends = [each["status"] for each in summary_of("run")["members"]]
    assert set(ends) == {"stopped early", "completed"}, "a case of both"
    answer = call("train", "resume=run", "trainer.max_epochs=8", "hydra.run.dir=more")
    assert answer.code == 0, answer.err
    for place, end in enumerate(ends):
        before, after = (summary_of(f"{run}/members/{place}") for run in ("run", "more"))
        assert (before == after) == (end == "stopped early")
        assert (after["epochs"] > before["epochs"]) == (end == "completed")
    assert evaluate("more", "best") == summary_of("more")["metrics"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["resume=run", "folds=4"], "folds was 3, found 4: the models, and the rows of each, have to be the same"),
        (["resume=run/members/1", "fold=2"], "fold was 1, found 2: the models, and the rows of each"),
        (["resume=torn"], "resume=torn: has 2 models in members/, expected 3 to go on from"),
    ],
)
def test_what_is_refused(call: Call, tmp_path: Path, overrides: list[str], said: str) -> None:
    """With other folds a model would be judged by rows that it has learned."""
    assert call("train", *RUN, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    shutil.copytree("run", "torn")
    shutil.rmtree(RunFolder("torn").members()[2].path)
    assert_refused(call("train", *overrides, "trainer.max_epochs=4", "hydra.run.dir=more"), said)


@pytest.mark.parametrize("place", ["0", "1"])
def test_a_model_that_cannot_go_on_leaves_nothing(call: Call, tmp_path: Path, place: str) -> None:
    """Also where another went on before it."""
    assert call("train", *RUN, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    Path("run/members", place, "checkpoints/last.ckpt").write_bytes(b"damaged")
    answer = call("train", "resume=run", "trainer.max_epochs=3", "hydra.run.dir=more")
    assert_refused(answer, "is not a whole checkpoint")
    assert not Path("more").exists()


def test_models_predict_with_their_checkpoints(call: Call) -> None:
    assert_refused(call("train", *RUN, "~callbacks.checkpoints"), "callbacks.checkpoints is missing")


def _dies_at_the_third_round() -> None:
    """The process is killed while checkpoints are written: one model has its third, two their second."""
    from src.stacks.members import Folders

    go_on, calls = Folders.go_on, []

    def counted(self: Folders, place: int) -> None:
        calls.append(place)
        if len(calls) == 3 + 3 + 2:
            os.kill(os.getpid(), signal.SIGKILL)
        go_on(self, place)

    Folders.go_on = counted  # type: ignore[method-assign]


def _same_models(one: Path, other: Path) -> None:
    for place in range(3):
        found = differences(one / "members" / str(place), other / "members" / str(place))
        assert [each for each in found if each != "metrics.csv" or one.name != "new"] == []
    first, second = summary_of(str(one)), summary_of(str(other))
    for key in ("status", "epochs", "steps", "metrics", "deviations", "members"):
        assert first[key] == second[key], key


@pytest.mark.parametrize("kind", ["folds=3", "ensemble=3"])
def test_killed_models_go_on_together_to_the_bit(kind: str, tmp_path: Path) -> None:
    """By the same command, and in a new folder; by way of a signal, too."""
    run = (
        "model=mlp",
        "model.hidden=[8]",
        "model.dropout=0.1",
        "optimizer=adam",
        "logger=none",
        "baselines=false",
        kind,
    )
    run = (*run, "data.batch_size=8", "trainer.max_epochs=60", "callbacks.checkpoints.every_n_epochs=6")
    warm()
    assert (whole := Forked(tmp_path, *run, "hydra.run.dir=whole")).wait() == 0, whole.said()
    again = (*run, "hydra.run.dir=hurt", "resume=hurt")
    process = Forked(tmp_path, *again, before=_dies_at_the_third_round)
    assert process.wait() == -signal.SIGKILL, process.said()
    for line in (("resume=hurt", "hydra.run.dir=new"), again):
        process = Forked(tmp_path, *line)
        assert process.wait() == 0, process.said()
        assert "3 of 3 go on after epoch 12, from their checkpoints" in process.said()
    _same_models(tmp_path / "new", tmp_path / "whole")
    _same_models(tmp_path / "hurt", tmp_path / "whole")


def test_who_had_ended_stays_and_changed_settings_go_on_model_by_model(tmp_path: Path) -> None:
    """Killed when one of three models was written whole."""
    run = (
        *RUN,
        "data.batch_size=6",
        "trainer.max_epochs=30",
        "callbacks.checkpoints.every_n_epochs=8",
        "figures=false",
    )
    warm()
    assert Forked(tmp_path, *run, "hydra.run.dir=whole").wait() == 0
    again = (*run, "hydra.run.dir=hurt", "resume=hurt")

    def before() -> None:
        from src.stacks.members import Folders

        end = Folders.end

        def once(self: Folders, place: int) -> None:
            if place:
                os.kill(os.getpid(), signal.SIGKILL)
            end(self, place)

        Folders.end = once  # type: ignore[method-assign]

    process = Forked(tmp_path, *again, before=before)
    assert process.wait() == -signal.SIGKILL, process.said()
    shutil.copytree(tmp_path / "hurt", tmp_path / "longer")
    first = (tmp_path / "hurt/members/0/summary.json").read_bytes()
    process = Forked(tmp_path, *again)
    assert process.wait() == 0, process.said()
    assert "2 of 2 go on after epoch 30" in process.said()
    assert (tmp_path / "hurt/members/0/summary.json").read_bytes() == first
    _same_models(tmp_path / "hurt", tmp_path / "whole")
    process = Forked(tmp_path, "hydra.run.dir=longer", "resume=longer", "trainer.max_epochs=40")
    assert process.wait() == 0, process.said()
    assert "model by model: they go on from where each was stopped" in process.said()
    assert [summary_of(str(path))["epochs"] for path in (tmp_path / "longer/members").glob("?")] == [40] * 3


def test_a_trial_of_models_goes_on(tmp_path: Path) -> None:
    """In a durable sweep: the trial that was killed, all of its models together."""
    sweep = ("-m", "sweep=lr", "hydra.sweeper.n_trials=1", "model=mlp", "model.hidden=[8]", *RUN[3:], "figures=false")
    sweep = (*sweep, "data.batch_size=6", "trainer.max_epochs=30", "callbacks.checkpoints.every_n_epochs=6")
    warm()
    assert (whole := Forked(tmp_path, *sweep, "hydra.sweep.dir=whole")).wait() == 0, whole.said()
    process = Forked(tmp_path, *sweep, "hydra.sweep.dir=hurt", before=_dies_at_the_third_round)
    assert process.wait() == -signal.SIGKILL, process.said()
    process = Forked(tmp_path, *sweep, "hydra.sweep.dir=hurt")
    assert process.wait() == 0, process.said()
    assert "3 of 3 go on after epoch 12, from their checkpoints" in process.said()
    _same_models(tmp_path / "hurt/0", tmp_path / "whole/0")


def _dies_before_a_summary() -> None:
    """The process is killed when a training is over, and nothing says yet what it came to."""

    def dying(self: RunFolder, *_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    RunFolder.write_summary = dying  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "more",
    [
        (*EARLY, "folds=3", "trainer.max_epochs=40"),  # some have stopped early when others still learn
        ("folds=3", "trainer.max_epochs=6"),
        ("folds=null", "data.val_fraction=0.2", "trainer.max_epochs=6"),
    ],
    ids=["folds that stop early", "folds", "lone"],
)
def test_a_training_that_was_over_comes_to_its_results_in_a_new_folder(more: tuple[str, ...], tmp_path: Path) -> None:
    """It was said to have nothing left, with exit code 0, beside a folder of models that nobody had summed up."""
    warm()
    run = (*RUN, "data.batch_size=6", *more, "callbacks.checkpoints.every_n_epochs=2")
    assert (whole := Forked(tmp_path, *run, "hydra.run.dir=whole")).wait() == 0, whole.said()
    process = Forked(tmp_path, *run, "hydra.run.dir=hurt", before=_dies_before_a_summary)
    assert process.wait() == -signal.SIGKILL, process.said()
    process = Forked(tmp_path, "resume=hurt", "hydra.run.dir=new")
    assert process.wait() == 0, process.said()
    first, second = summary_of(str(tmp_path / "new")), summary_of(str(tmp_path / "whole"))
    for key in ("status", "epochs", "steps", "metrics"):
        assert first[key] == second[key], key
    process = Forked(tmp_path, "resume=new", "hydra.run.dir=none")
    assert process.wait() == 0
    assert "nothing is left to do" in process.said()
    assert not (tmp_path / "none").exists()
