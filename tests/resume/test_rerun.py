"""``rerun=DIR`` trains a run again from its folder and holds it against what it came to."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.commands import Answer, Call, everything_under
from tests.faults.same import differences

NET = (
    *("model=mlp", "model.hidden=[8]", "model.dropout=0.1", "optimizer=adam", "data.batch_size=8", "seed=3"),
    *("trainer.max_epochs=5", "data.val_fraction=0.2", "logger=none", "figures=false"),
)
ROWS = "".join(f"{'uvw'[i % 3]},{i % 7},{i + i % 5}\n" for i in range(40))
OWN = ("data=csv", "data.path=rows.csv", "data.target=y", "trainer.max_epochs=3", "logger=none", "figures=false")


def again(call: Call, *overrides: str) -> Answer:
    answer = call("train", "rerun=run", "hydra.run.dir=more", *overrides)
    assert answer.code == 0, answer.err
    return answer


@pytest.mark.parametrize("more", [(), ("trainer.steps_per_execution=1",), ("folds=3",), ("ensemble=2",)])
def test_it_comes_out_the_same(more: tuple[str, ...], call: Call, tmp_path: Path) -> None:
    """To the bit, of one model or several, and what came out is a run like the first: its folder is not needed."""
    assert call("train", *NET, *more, "hydra.run.dir=run").code == 0
    answer = again(call, "graph=true", "checks.ignore=[P05]")
    assert answer.out.splitlines()[-1] == "the same to the bit as run: weights, optimizer, history and figures"
    pairs = list(zip(RunFolder("run").members(), RunFolder("more").members(), strict=True))
    for one, other in pairs or [(RunFolder("run"), RunFolder("more"))]:
        assert differences(one.path, other.path) == []
    one, other = (RunFolder(name).read_summary() for name in ("run", "more"))
    assert [other[key] for key in ("command", "overrides")] == [one[key] for key in ("command", "overrides")]
    shutil.rmtree("run")
    Path("more").rename("run")
    assert "the same to the bit" in again(call).out


def test_what_differs_is_told(call: Call) -> None:
    """By how much, and which of code, data, packages and processor did."""
    Path("rows.csv").write_text("a,b,y\n" + ROWS)
    assert call("train", *OWN, "hydra.run.dir=run").code == 0
    summary = json.loads(Path("run/summary.json").read_text())
    summary["environment"] |= {"torch": "1.0", "git": "0" * 40, "processor": "an abacus"}
    Path("run/summary.json").write_text(json.dumps({k: v for k, v in summary.items() if k != "checksums"}))
    told = again(call).out
    shutil.rmtree("more")
    assert "the same to the bit" in told
    assert "code: git 0000" in told
    assert "packages: torch 1.0, now 2." in told
    assert "processor: processor an abacus, now " in told
    assert "data: " not in told
    Path("rows.csv").write_text("a,b,y\n" + ROWS.replace("0\n", "90\n"))
    told = again(call).out
    assert "not the same as run:" in told
    assert "  metrics.train/mse: " in told
    assert ", relative " in told
    assert "  last.ckpt: state_dict, by at most " in told
    assert "  metrics.csv\n" in told
    assert f"data: sha256 {summary['data']['sha256']}, now " in told


def test_a_member_of_a_stack(call: Call) -> None:
    """It comes to the same within what the README says of stacks, and a line says that it may be one."""
    assert call("train", *NET, "folds=2", "hydra.run.dir=whole").code == 0
    Path("whole/members/1").rename("whole/members/x")
    shutil.copytree("whole/members/x", "members/1")
    Path("members/1").rename("run")
    answer = call("train", "rerun=run", "hydra.run.dir=more")
    assert answer.code == 0
    one, other = (
        torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for name in ("run", "more")
    )
    assert all(torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-5) for name in one)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("rerun=nowhere",), "rerun=nowhere: no such folder"),
        (("rerun=last",), "rerun=last: there is none in outputs/train/ yet"),
        (("rerun=run", "optimizer.lr=0.1"), "rerun=run: repeats the run as it was, found optimizer.lr=0.1: python -m"),
        (("rerun=run", "model=mlp"), "rerun=run: repeats the run as it was, found model=mlp"),
        (("rerun=run", "resume=run"), "resume=run goes on with a run, rerun=run begins it again: choose one"),
        (("rerun=''",), "rerun must be a run folder, found ''"),
    ],
)
def test_refused(overrides: tuple[str, ...], words: str, call: Call) -> None:
    assert call("train", *NET, "hydra.run.dir=run").code == 0
    before = everything_under(Path.cwd())
    assert_refused(call("train", *overrides), words)
    assert everything_under(Path.cwd()) == before


@pytest.mark.parametrize("status", ["interrupted", "failed", "pruned", None])
def test_a_run_that_came_to_nothing(status: str | None, call: Call) -> None:
    assert call("train", *NET, "hydra.run.dir=run").code == 0
    if status is None:
        Path("run/summary.json").unlink()
    else:
        Path("run/summary.json").write_text(json.dumps({"status": status, "command": "x", "overrides": []}))
    assert_refused(call("train", "rerun=run"), f"rerun=run: the run is {status or 'unfinished'}, there is nothing")


def test_a_folder_may_not_name_what_it_likes(call: Call) -> None:
    """As for ``resume=``: its configuration is data."""
    assert call("train", *NET, "hydra.run.dir=run").code == 0
    config = OmegaConf.load("run/.hydra/config.yaml")
    config.optimizer._target_ = "logging.FileHandler"
    OmegaConf.save(config, "run/.hydra/config.yaml")
    answer = call("train", "rerun=run")
    assert answer.code == 2
    assert "logging.FileHandler" in answer.lines[-1]


def test_a_diverged_run_diverges_again(call: Call) -> None:
    assert call("train", "optimizer.lr=9", "trainer.max_epochs=200", "hydra.run.dir=run", "logger=none").code == 1
    answer = call("train", "rerun=run", "hydra.run.dir=more")
    assert answer.code == 1
    assert answer.out.splitlines()[-1].startswith("the same to the bit as run")


def test_changed_data_go_on_only_when_allowed(call: Call) -> None:
    """With the encoder of the rows that were learned; a word that it has not met is one like any other unknown."""
    Path("rows.csv").write_text("a,b,y\n" + ROWS)
    assert call("train", *OWN, "hydra.run.dir=run").code == 0
    Path("rows.csv").write_text("a,b,y\n" + ROWS + "z,2,3\n,4,5\n" * 5)
    on = ("train", "resume=run", "trainer.max_epochs=4", "hydra.run.dir=more")
    answer = call(*on)
    assert_refused(answer, "was trained on other rows, SHA-256")
    assert "allow_changed_data=true goes on all the same" in answer.err
    assert call(*on, "allow_changed_data=true").code == 0
    assert RunFolder("more").read_summary()["data"]["rows"] == 50
    learned = (torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True)["DataModule"] for name in ("run", "more"))
    assert len({str(each["categories"]) for each in learned}) == 1
    shutil.rmtree("more")
    Path("rows.csv").write_text("a,b,y\n" + ROWS.replace("u", "1").replace("v", "2").replace("w", "3"))
    assert_refused(call(*on, "allow_changed_data=true"), "column 'a' was category in training, found number")
    refused(call("evaluate", "run=run"), "column 'a' was category in training, found number")
    Path("rows.csv").write_text("a,b,y\n" + ROWS + "u,,3\n")
    refused(call("evaluate", "run=run"), "column 'b' had no gaps in training, and has some now")


def refused(answer: Answer, words: str) -> None:
    assert answer.code == 2
    assert answer.lines[-1] == words
