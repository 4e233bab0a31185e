"""What a configuration may construct."""

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import execution_whitelist
from omegaconf import OmegaConf

from src.config import build
from src.config.cli import ALLOWED
from src.config.kinds import KINDS, check_kind
from src.errors import UserError
from tests.compose import CONF

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
NET = {"_target_": "torch.nn.Sequential", "_args_": [LINEAR, {"_target_": "torch.nn.ReLU"}, LINEAR]}
SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
STEP = {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step_size": 1}
OWN = "tests.unit.test_kinds"


def function_of_our_own() -> None:
    """No target of any kind."""


def test_everything_in_conf_is_of_its_kind() -> None:
    """Each file of each group, for the user and for a folder."""
    seen = 0
    for group in KINDS:
        for path in (CONF / group).glob("*.yaml"):
            content: Any = OmegaConf.to_container(OmegaConf.load(path))
            nodes = content.values() if group in ("callbacks", "logger") else [content]
            for node in (n for n in nodes if isinstance(n, dict) and n.get("_target_")):
                for foreign in (False, True):
                    check_kind(node, f"{group}.x", foreign)
                seen += 1
    assert seen >= 18


@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("model", NET),
        ("model", {"_target_": "torch.nn.ModuleList", "_args_": [[LINEAR, NET]]}),
        ("loss", {"_target_": "torch.nn.SmoothL1Loss", "beta": 0.5}),
        ("optimizer", SGD | {"_target_": "torch.optim.Adagrad"}),
        ("scheduler", STEP | {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}),
        ("callbacks.stop", {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitor": "val/mse"}),
    ],
)
def test_what_anybody_may_name(key: str, node: dict[str, Any]) -> None:
    """Also a folder."""
    assert node["_target_"] in check_kind(node, key, foreign=True)
    assert check_kind(node, key) == check_kind(node, key, foreign=True)


@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("model", {"_target_": "lightning.pytorch.demos.boring_classes.BoringModel"}),
        ("loss", {"_target_": "torchmetrics.MeanSquaredError"}),
        ("callbacks.rate", {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor"}),
        ("logger.csv", {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "."}),
    ],
)
def test_what_the_user_may_name_and_a_folder_may_not(key: str, node: dict[str, Any]) -> None:
    """A class of the right kind, from any package."""
    assert node["_target_"] in check_kind(node, key)
    assert node["_target_"] in check_kind(node, key, foreign=True, trust=[node["_target_"].partition(".")[0]])
    with pytest.raises(UserError, match=f"^{key}: expected .*found {node['_target_']}; trust=PACKAGE"):
        check_kind(node, key, foreign=True)


@pytest.mark.parametrize(
    ("key", "node", "said"),
    [
        ("model", {"_target_": "torch.optim.SGD"}, "expected a subclass of torch.nn.Module or a function"),
        ("model", {"_target_": "src.runs.environment._git"}, "found src.runs.environment._git, which is no class"),
        ("model", {"_target_": "src.models.linear.nn.Linear.from_float"}, "cannot be imported"),
        ("model", {"_target_": f"{OWN}.function_of_our_own"}, "which is no class"),
        ("model", {"_target_": "lightning.pytorch.LightningModule.load_from_checkpoint"}, "which is no class"),
        ("model", {"_target_": "no.such.package"}, "cannot be imported \\(ModuleNotFoundError"),
        ("model", {"_target_": None}, "expected a _target_"),
        ("model", {"hidden": 3}, "expected a _target_"),
        ("model", NET | {"_partial_": True}, "model._partial_: _partial_ is not allowed here"),
        ("model", LINEAR | {"_recursive_": False}, "model._recursive_: _recursive_ is not allowed here"),
        ("model", LINEAR | {"bias": {"_target_": "logging.FileHandler"}}, "model.bias: expected a subclass"),
        ("model", LINEAR | {"bias": [{"a": {"_target_": "os.system"}}]}, "model.bias.0.a: expected a subclass"),
        ("model", NET | {"_args_": [1]}, "model._args_.0: expected a _target_"),
        ("model", NET | {"_args_": [SGD]}, "model._args_.0: expected a subclass of torch.nn.Module"),
        ("model", LINEAR | {"bias": "${x}"}, "model.bias: expected a value, found the interpolation"),
        ("loss", {"_target_": "torch.nn.functional.mse_loss"}, "expected a subclass of torch.nn.Module, found"),
        ("optimizer", {"_target_": "torch.nn.Linear"}, "expected a subclass of torch.optim.Optimizer"),
        ("optimizer", SGD | {"_args_": [[1]]}, "optimizer._args_.0: expected a _target_"),
        ("scheduler", SGD, "expected a subclass of torch.optim.lr_scheduler.LRScheduler"),
        ("scheduler", STEP | {"step_size": STEP}, "scheduler.step_size: expected a value"),
        ("callbacks.x", {"_target_": "lightning.pytorch.Trainer"}, "expected a subclass of lightning.pytorch.Callback"),
        ("logger.x", {"_target_": "logging.FileHandler"}, "expected a subclass of lightning.pytorch.loggers.Logger"),
        ("data", {"_target_": "src.data.reader.read_header"}, "expected a function of src.data.sources"),
        ("data", {"_target_": "src.data.sources.cars", "path": NET}, "data.path: expected a value"),
    ],
)
def test_what_nobody_may_name(key: str, node: dict[str, Any], said: str) -> None:
    """The key, what was expected and what was found; in one line."""
    for foreign in (False, True):
        with pytest.raises(UserError, match=None if foreign else said) as caught:
            check_kind(node, key, foreign)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(key)


def test_nothing_is_built_before_all_of_it_is_checked(tmp_path: Path) -> None:
    """The inner node is sound and would leave a file; the outer one is refused."""
    inner = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    with pytest.raises(UserError, match="optimizer: expected a subclass"):
        build.construct({"_target_": "os.system", "command": inner}, "optimizer")
    assert not list(tmp_path.iterdir())


def test_the_list_in_force_is_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hydra adds lists up: what hydra.main allows for its own plugins is not allowed for a run's parts."""
    handler = {"_target_": "logging.FileHandler", "filename": str(tmp_path / "mark")}
    monkeypatch.setattr(build, "check_kind", lambda *_: {"torch.nn.MSELoss", "torch.nn.modules.loss.MSELoss"})
    with execution_whitelist(ALLOWED):
        with pytest.raises(UserError, match="logging"):
            build.construct(handler, "loss")
        assert type(build.construct({"_target_": "torch.nn.MSELoss"}, "loss")).__name__ == "MSELoss"
    assert not (tmp_path / "mark").exists()


def test_no_list_opens_our_own_functions() -> None:
    """Hydra's own list names plugins, log handlers and two callbacks of ours, and no part of a run."""
    assert [name for name in ALLOWED if name.startswith("src")] == [
        "src.plugins.folders.Folders",
        "src.plugins.rows.Rows",
    ]
    assert not any(name.startswith(("torch", "lightning")) for name in ALLOWED)
