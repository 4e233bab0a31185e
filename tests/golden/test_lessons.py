"""The lessons' figures, computed independently in float64, to 1e-9 relative."""

import json
from pathlib import Path
from typing import Any

import pytest

from src.runs.folder import RunFolder
from tests.compose import trained

GOLDEN = json.loads(Path(__file__).with_name("lessons.json").read_text())
ZERO = ("model.init.weight=0", "model.init.bias=0")
DOUBLE = "trainer.precision=64-true"


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-9)


def assert_line(summary: dict[str, Any], golden: dict[str, Any]) -> None:
    assert summary["parameters"] == {"slope": close(golden["slope"]), "intercept": close(golden["intercept"])}
    assert summary["metrics"]["train/mse"] == close(golden["mse"])


def assert_history(folder: Path, golden: dict[str, Any], full_batch: bool) -> None:
    columns = RunFolder(folder).read_metrics()
    for epoch, row in golden["after_epoch"].items():
        assert columns["epoch"][int(epoch)] == int(epoch) + 1
        assert columns["slope"][int(epoch)] == close(row["slope"])
        assert columns["intercept"][int(epoch)] == close(row["intercept"])
        if full_batch:
            assert columns["train/loss"][int(epoch)] == close(row["first_batch_loss"])


@pytest.mark.parametrize("gradient", ["autograd", "analytic"])
def test_from_scratch_100_epochs(tmp_path: Path, gradient: str) -> None:
    summary = trained(
        tmp_path, "experiment=from_scratch", "model.init.weight=0.5", "model.init.bias=0.5",
        f"model.gradient={gradient}", "trainer.max_epochs=100",
    )  # fmt: skip
    golden = GOLDEN["from_scratch"]["epochs_100"]
    assert_line(summary, golden)
    assert_history(tmp_path, golden, full_batch=False)
    assert summary["steps"] == 3200


def test_from_scratch_1000_epochs(tmp_path: Path) -> None:
    summary = trained(
        tmp_path, "experiment=from_scratch", "model.init.weight=0.5", "model.init.bias=0.5", "model.gradient=analytic"
    )
    assert_line(summary, GOLDEN["from_scratch"]["epochs_1000"])


@pytest.mark.parametrize("lr", ["0.02", "0.001"])
def test_model_class(tmp_path: Path, lr: str) -> None:
    summary = trained(tmp_path, "experiment=model_class", f"optimizer.lr={lr}", DOUBLE)
    golden = GOLDEN["model_class"][f"lr_{lr}"]
    assert_line(summary, golden)
    assert_history(tmp_path, golden, full_batch=True)
    assert summary["epochs"] == summary["steps"] == 1000


def test_model_class_in_float32_ends_where_the_lesson_says(tmp_path: Path) -> None:
    parameters = trained(tmp_path, "experiment=model_class")["parameters"]
    assert parameters["slope"] == pytest.approx(-4.854227, abs=1e-3)
    assert parameters["intercept"] == pytest.approx(35.578141, abs=1e-3)


def test_mini_batches(tmp_path: Path) -> None:
    summary = trained(tmp_path, "experiment=mini_batches", "data.batch_size=8", DOUBLE)
    assert_line(summary, GOLDEN["mini_batches"]["result"])
    assert_history(tmp_path, GOLDEN["mini_batches"]["result"], full_batch=False)


def test_make_regression(tmp_path: Path) -> None:
    summary = trained(tmp_path, "experiment=make_regression", DOUBLE)
    assert_line(summary, GOLDEN["synthetic"]["result"])
    assert_history(tmp_path, GOLDEN["synthetic"]["result"], full_batch=True)
    assert summary["reference"] == {name: close(value) for name, value in GOLDEN["synthetic"]["ols"].items()}


def test_generated_rows_are_the_lesson_s() -> None:
    from src.config import build
    from tests.compose import composed

    rows = build.table(composed("experiment=make_regression", DOUBLE))
    assert rows.features[0, 0] == close(GOLDEN["synthetic"]["x0"])
    assert rows.target[0] == close(GOLDEN["synthetic"]["y0"])


def test_too_large_a_rate_diverges_and_says_which_would_do(tmp_path: Path) -> None:
    summary = trained(tmp_path, "experiment=model_class", "optimizer.lr=0.1", DOUBLE)
    assert summary["status"] == "diverged"
    assert summary["objective"]["value"] == float("inf")
    assert f"{GOLDEN['cars']['largest_stable_full_batch_lr']:.5f}" in summary["message"]


@pytest.mark.parametrize("seed", [0, 4, 9])
def test_the_user_s_own_line(tmp_path: Path, seed: int) -> None:
    summary = trained(tmp_path, "model=mlp", "optimizer.lr=0.02", f"seed={seed}")
    assert summary["metrics"]["train/mse"] < 6.5


def test_without_activation_a_deep_net_is_a_straight_line(tmp_path: Path) -> None:
    straight = trained(tmp_path / "none", "experiment=activations", "model.activation=none")
    curved = trained(tmp_path / "tanh", "experiment=activations", "model.activation=tanh")
    least = straight["reference"]["mse"]
    assert straight["metrics"]["train/mse"] == pytest.approx(least, rel=0.03)
    assert curved["metrics"]["train/mse"] < 0.1 * least
