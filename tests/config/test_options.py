"""Every option of every group composes, instantiates and trains."""

from pathlib import Path

import pytest

from tests.compose import CONF, trained

SKIPPED = {"gpu": "needs a GPU", "ddp": "needs a process of its own"}
NEEDS = {
    "csv": ("data.path={csv}", "data.target=y"),
    "scratch": ("optimizer.lr=0.001",),
    "early_stopping": ("data.val_fraction=0.2",),
}


def options() -> list[str]:
    groups = [path for path in CONF.iterdir() if path.is_dir() and path.name not in ("sweep", "report")]
    names = [(group.name, file.stem) for group in groups for file in sorted(group.glob("*.yaml"))]
    return [f"{group}={name}" for group, name in names if name not in SKIPPED and (group, name) != ("data", "base")]


@pytest.mark.parametrize("option", options())
def test_option_trains(tmp_path: Path, option: str) -> None:
    name = option.partition("=")[2]
    table = tmp_path / "rows.csv"
    table.write_text("x,y\n" + "".join(f"{i},{i * 0.5}\n" for i in range(10)))
    extra = [override.format(csv=table) for override in NEEDS.get(name, ())]
    epochs = 2 if name == "onecycle" else 1  # up, and down
    summary = trained(tmp_path / "run", option, f"trainer.max_epochs={epochs}", *extra)
    assert summary["status"] == "completed"
    assert summary["epochs"] == epochs
    assert summary["steps"] >= 1


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "leaky_relu", "silu", "elu", "none"])
def test_every_activation_trains(tmp_path: Path, name: str) -> None:
    assert trained(tmp_path, "model=mlp", f"model.activation={name}", "trainer.max_epochs=1")["steps"] == 1


@pytest.mark.parametrize("standardize", ["auto", "true", "false"])
@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_standardize_means_what_it_says(tmp_path: Path, model: str, standardize: str) -> None:
    import torch

    trained(tmp_path, f"model={model}", f"data.standardize={standardize}", "trainer.max_epochs=1")
    encoder = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["DataModule"]
    scaled = encoder["target"]["scale"] != 1
    assert scaled == (standardize == "true" or (standardize == "auto" and model == "mlp"))


def test_group_files_start_with_what_they_are_for() -> None:
    for file in CONF.rglob("*.yaml"):
        lines = file.read_text().splitlines()
        first = lines[1] if lines[0].startswith("# @package") else lines[0]
        assert first.startswith("# "), file
