"""``resume=DIR`` of a run of several models."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call

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
