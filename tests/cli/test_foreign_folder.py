"""A run folder is data: what somebody wrote into its configuration is not run."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.cli.test_bad_input import assert_refused
from tests.commands import Call
from tests.compose import trained

# Where in the configuration, what stands there, and what the answer names. Each leaves `mark` behind, or takes
# `kept` away, where it is run.
TRICKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a git alias is a shell": (
        "model.init.weight",
        {"_target_": "src.runs.environment._git", "_args_": ["-c", "alias.x=!touch {mark}", "x"]},
        "src.runs.environment._git",
    ),
    "any class by its path": (
        "model.init.weight",
        {
            "_target_": "lightning.pytorch.cli.instantiate_class",
            "args": [],
            "init": {"class_path": "logging.FileHandler", "init_args": {"filename": "{mark}"}},
        },
        "lightning.pytorch.cli.instantiate_class",
    ),
    "a pickle": (
        "model",
        {
            "_target_": "lightning.pytorch.LightningModule.load_from_checkpoint",
            "checkpoint_path": "{pickle}",
            "weights_only": False,
        },
        "load_from_checkpoint",
    ),
    "a log file": (
        "model.init.bias",
        {"_target_": "logging.FileHandler", "filename": "{mark}"},
        "logging.FileHandler",
    ),
    "our own function that writes": (
        "loss.reduction",
        {"_target_": "src.training.checkpoints.save", "checkpoint": {}, "path": "{mark}"},
        "src.training.checkpoints.save",
    ),
    "our own function that deletes": (
        "data.features",
        {"_target_": "src.runs.train.forget", "folder": {"_target_": "pathlib.Path", "_args_": ["{kept}"]}},
        "src.runs.train.forget",
    ),
    "built before the outer call is refused": (
        "model",
        {"_target_": "os.system", "command": {"_target_": "logging.FileHandler", "filename": "{mark}"}},
        "os.system",
    ),
    "a module that is imported": ("model", {"_target_": "trick.Net"}, "trick.Net"),
    "in the place of the data": ("data", {"_target_": "trick.table"}, "trick.table"),
    "by an interpolation": ("model.init.weight", {"_target_": "${name}"}, "${name}"),
    "a class of ours that is no net": ("model", {"_target_": "src.runs.folder.RunFolder"}, "RunFolder"),
    "torch's own, but not a layer": ("model", {"_target_": "torch.nn.DataParallel", "module": None}, "DataParallel"),
}
PROGRAM = """
from pathlib import Path
from torch import nn

Path({mark!r}).touch()


class Net(nn.Linear):
    def __init__(self, features):
        super().__init__(features, 1)


def table(**_):
    pass
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run to write tricks into copies of."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    trained(folder, "trainer.max_epochs=3", "logger=none")
    return folder


@pytest.fixture
def scene(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where things lie; a module ``trick`` that can be imported and leaves the mark when it is."""
    places = {name: str(tmp_path / name) for name in ("mark", "pickle", "kept", "run")}
    shutil.copytree(finished, places["run"])
    (tmp_path / "kept" / ".hydra").mkdir(parents=True)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "trick.py").write_text(PROGRAM.format(mark=places["mark"]))
    (tmp_path / "new.csv").write_text("wt\n3\n")
    monkeypatch.syspath_prepend(tmp_path / "library")
    monkeypatch.delitem(sys.modules, "trick", raising=False)
    _pickle(Path(places["pickle"]), places["mark"])
    return places


def _pickle(path: Path, mark: str) -> None:
    """A checkpoint that touches ``mark`` while it is unpickled."""
    import torch

    class Trick:
        def __reduce__(self) -> Any:
            return Path.touch, (Path(mark),)

    torch.save({"state_dict": {}, "hyper_parameters": Trick()}, path)


def _filled(value: Any, places: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, places) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, places) for inner in value]
    if not isinstance(value, str):
        return value
    for name, place in places.items():
        value = value.replace("{" + name + "}", place)
    return value


def _write(run: str, key: str, node: Any, places: dict[str, str]) -> None:
    path = Path(run) / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(path)
    kept = {"standardize": False, "init": {"weight": None, "bias": None}} if key == "model" else {}
    kept = {"val_fraction": 0.0, "test_fraction": 0.0} if key == "data" else kept
    OmegaConf.update(cfg, key, kept | _filled(node, places), merge=False, force_add=True)
    OmegaConf.save(cfg, path)


@pytest.mark.parametrize("door", ["evaluate", "predict", "export"])
@pytest.mark.parametrize("trick", TRICKS)
def test_a_folder_cannot_run_anything(trick: str, door: str, call: Call, scene: dict[str, str]) -> None:
    """Nothing is called and nothing imported; one line names the folder, the key and what it found there."""
    key, node, said = TRICKS[trick]
    _write(scene["run"], key, node, scene)
    inputs = ["input=new.csv", "output=out.csv"] if door == "predict" else []
    answer = call(door, "run=run", *inputs)
    assert not Path(scene["mark"]).exists()
    assert Path(scene["kept"]).exists()
    # A prediction builds the net and nothing else, a file to ship the net and its rows.
    if door == "evaluate" or key.startswith("model") or (door == "export" and key.startswith("data")):
        assert_refused(answer, f"run=run: {key}", said, "expected")
        assert answer.out == ""


def test_a_report_runs_nothing_either(call: Call, scene: dict[str, str], tmp_path: Path) -> None:
    """The fits of a sweep's runs are drawn from their folders; the rest of the report is there all the same."""
    for number in ("0", "1"):
        shutil.copytree(scene["run"], tmp_path / "sweep" / number)
    key, node, _ = TRICKS["a git alias is a shell"]
    _write(str(tmp_path / "sweep" / "1"), key, node, scene)
    answer = call("report", "sweep=sweep")
    assert answer.code == 0, answer.err
    assert not Path(scene["mark"]).exists()
    assert (tmp_path / "sweep" / "report.html").is_file()


def test_a_net_of_ones_own_is_opened_by_its_package(call: Call, scene: dict[str, str]) -> None:
    """trust=PACKAGE: a class of the right kind from there, and still nothing else."""
    _write(scene["run"], "model", {"_target_": "trick.Net"}, scene)
    config = Path(scene["run"]) / ".hydra" / "config.yaml"
    cfg = OmegaConf.load(config)
    del cfg.model["init"]
    OmegaConf.save(cfg, config)
    assert_refused(call("evaluate", "run=run"), "found trick.Net; trust=PACKAGE opens a package of your own")
    answer = call("evaluate", "run=run", "trust=trick")
    assert answer.code == 0, answer.err
    assert "train" in answer.out
    _write(scene["run"], "model", {"_target_": "trick.table"}, scene)
    assert_refused(call("evaluate", "run=run", "trust=[trick]"), "found trick.table, which is no class")


@pytest.mark.parametrize("model", ["linear", "mlp", "scratch"])
def test_what_a_run_wrote_itself_is_read(model: str, call: Call, tmp_path: Path) -> None:
    """Every net of ours."""
    trained(tmp_path / "run", f"model={model}", "trainer.max_epochs=2", "logger=none")
    assert call("evaluate", "run=run").code == 0
