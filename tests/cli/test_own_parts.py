"""Parts of the user's own: classes of the right kind, from any package that can be imported."""

import json
import shlex
from pathlib import Path

import pytest

from src.runs.folder import RunFolder
from tests.cli.test_bad_input import assert_refused
from tests.commands import Call

SHORT = ("trainer.max_epochs=3", "logger=none", "figures=false")
LAYERS = (
    "[{_target_:torch.nn.Linear,in_features:1,out_features:4},{_target_:torch.nn.ReLU},"
    "{_target_:torch.nn.Linear,in_features:4,out_features:1}]"
)
PROGRAM = """
import torch
from lightning.pytorch import Callback
from torch import nn


class Net(nn.Linear):
    def __init__(self, features, init):
        super().__init__(features, 1)


class Halved(torch.optim.SGD):
    pass


class Seen(Callback):
    def on_train_end(self, trainer, pl_module):
        print("seen by a callback of one's own")


def net(features, init):
    return Net(features, init)
"""


@pytest.fixture(autouse=True)
def _own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path_factory.mktemp("library")
    (library / "mine.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(library)


def test_net_optimizer_and_callback(call: Call, tmp_path: Path) -> None:
    answer = call(
        *("train", "model._target_=mine.Net", "optimizer._target_=mine.Halved", "hydra.run.dir=run"),
        *("+callbacks.seen._target_=mine.Seen", *SHORT),
    )
    assert answer.code == 0, answer.err
    assert "seen by a callback of one's own" in answer.out
    assert RunFolder(tmp_path / "run").read_summary()["status"] == "completed"
    assert_refused(call("evaluate", "run=run"), "run=run: model: expected a net of src.models", "found mine.Net")
    assert call("evaluate", "run=run", "trust=mine").code == 0


def test_a_function_is_no_net(call: Call, tmp_path: Path) -> None:
    answer = call("train", "model._target_=mine.net", "hydra.run.dir=run", *SHORT)
    assert_refused(answer, "model: expected a subclass of torch.nn.Module", "found mine.net, which is no class")
    assert not (tmp_path / "run").exists()


def test_layers_written_in_yaml(call: Call, tmp_path: Path) -> None:
    """nn.Sequential takes no ``features``; a folder may name torch.nn's layers."""
    layers = ("model._target_=torch.nn.Sequential", "~model.init", f"+model._args_={LAYERS}")
    answer = call("train", *layers, "hydra.run.dir=run", *SHORT)
    assert answer.code == 0, answer.err
    assert call("evaluate", "run=run").code == 0


def test_a_sweep_over_a_net_of_ones_own_ends_with_its_report(call: Call, tmp_path: Path) -> None:
    """The picture of the fits is left out, for a folder may not name such a net; the rest is there."""
    answer = call("train", "-m", "seed=0,1", "model._target_=mine.Net", "hydra.sweep.dir=sweep", *SHORT)
    assert answer.code == 0, answer.err
    assert (tmp_path / "sweep" / "report.html").is_file()
    assert not (tmp_path / "sweep" / "figures" / "fits.png").exists()
    assert "figures/fits.png is left out: run=sweep/0: model: expected a net" in answer.out


@pytest.mark.parametrize("launcher", ["basic", "stacked"])
def test_the_commands_of_a_sweep_name_the_users_folder_of_configuration(
    launcher: str, call: Call, tmp_path: Path
) -> None:
    """Without it there would be no such model. The run's own command is given again as it is printed."""
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "net.yaml").write_text(
        "defaults:\n  - linear\n  - _self_\n\n_target_: mine.Net\nstandardize: true\n"
    )
    sweep = ("-m", "--config-dir", "own", f"hydra/launcher={launcher}", "model=net", "seed=0,1")
    answer = call("train", *sweep, "hydra.sweep.dir=sweep", *SHORT)
    assert answer.code == 0, answer.err
    said = RunFolder(tmp_path / "sweep" / "1").read_summary()["command"]
    assert f"train the best again: {said.rpartition(' seed')[0]}" in answer.out
    assert f"{shlex.join(['python', '-m', 'src.train', *sweep[:3]])} " in (tmp_path / "sweep/report.html").read_text()
    again = call("train", *shlex.split(said)[3:], "hydra.run.dir=again")
    assert again.code == 0, again.err
    metrics = [json.loads((tmp_path / run / "summary.json").read_text())["metrics"] for run in ("sweep/1", "again")]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-5)
