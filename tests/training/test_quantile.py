"""Quantile regression: the loss, the order of outputs, and what a run and its predictions say."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from src.errors import UserError
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.predict import predict
from src.training.losses import check_losses
from src.training.predictor import uncrossed
from src.training.quantile import Quantile, in_order
from tests.compose import trained

LEVELS = "loss.levels=[0.1,0.5,0.9]"
NET = (
    "model=mlp",
    "model.hidden=[16]",
    "optimizer=adam",
    "optimizer.lr=0.02",
    "trainer.max_epochs=300",
    "figures=false",
)
ROWS = ("data=synthetic", "data.n_samples=400", "data.kind=sine", "data.noise=5", "data.n_features=1")


def test_the_least_loss_is_at_the_quantile() -> None:
    """Of many numbers, gradient descent on the pinball loss finds what sorting finds."""
    target = torch.randn(10_000, 1, generator=torch.Generator().manual_seed(0)).exp()
    loss, found = Quantile([0.9, 0.1, 0.5]), torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([found], 0.05)
    for _ in range(600):
        optimizer.zero_grad()
        loss(found.expand(10_000, 3), target).backward()
        optimizer.step()
    assert loss.levels == [0.5, 0.1, 0.9]
    assert found[0].tolist() == pytest.approx(np.quantile(target, loss.levels).tolist(), rel=0.05)


def test_rows_and_levels_count_alike() -> None:
    """The mean of what each row and level loses, with and without a member axis."""
    loss = Quantile([0.25, 0.75])
    assert float(loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0]]))) == pytest.approx((0.25 * 2 + 0.75 * 1) / 2)
    assert float(loss(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0]]))) == pytest.approx((0.75 * 1 + 0.25 * 2) / 2)
    check_losses([loss], ragged=True)
    with pytest.raises(UserError, match="different ones"):
        Quantile([0.5, 0.5])


def test_quantiles_do_not_cross() -> None:
    """The prediction stays, and whoever stands on the wrong side of one nearer to it is moved there."""
    levels = in_order([0.1, 0.4, 0.5, 0.6, 0.9])
    assert levels == [0.5, 0.4, 0.6, 0.1, 0.9]
    assert uncrossed(torch.tensor([[5.0, 6, 4, 3, 9]]), levels).tolist() == [[5, 5, 5, 3, 9]]
    assert uncrossed(torch.tensor([[5.0, 4, 6, 4.5, 5.5]]), levels).tolist() == [[5, 4, 6, 4, 6]]


def test_a_run_knows_how_much_lies_between(tmp_path: Path) -> None:
    """Its outputs hold about the share asked for; evaluate repeats that, and predict writes each level."""
    summary = trained(tmp_path, *ROWS, *NET, "loss=quantile", LEVELS, "data.val_fraction=0.3")
    assert summary["interval"]["levels"] == [0.1, 0.9]
    assert summary["interval"]["coverage"]["train"] == pytest.approx(0.8, abs=0.08)
    assert summary["interval"]["coverage"]["val"] == pytest.approx(0.8, abs=0.15)
    assert summary["metrics"]["val/rmse"] == pytest.approx(5, rel=0.2)
    assert evaluate(str(tmp_path), "best") == summary["metrics"]
    source = tmp_path / "new.csv"
    source.write_text("x\n-2\n0\n2\n")
    with predict(str(tmp_path), str(source), None, "best", interval=0.8).open() as file:
        lines = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]
    for line in lines:
        assert list(line) == ["x", "y_predicted", "y_low", "y_high", "y_q0.1", "y_q0.5", "y_q0.9"]
        assert line["y_q0.5"] == line["y_predicted"]
        assert (line["y_low"], line["y_high"]) == (line["y_q0.1"], line["y_q0.9"])
        assert 6 < line["y_high"] - line["y_low"] < 22  # of a normal deviation of 5 it is 12.8
    with pytest.raises(UserError, match="quantiles at its ends, which loss=quantile learns"):
        predict(str(tmp_path), str(source), None, "best", interval=0.5)


def test_folds_and_tables_have_quantiles_too(tmp_path: Path) -> None:
    """Members of one stack, each beside its own line; together they predict the mean of their quantiles."""
    table = tmp_path / "table.csv"
    generator = np.random.default_rng(0)
    x = generator.normal(size=150)
    rows = zip(x, generator.choice(["a", "b"], 150), 3 * x + generator.normal(size=150), strict=True)
    table.write_text("x,word,y\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    run = ("data=csv", f"data.path={table}", "data.target=y", "loss=quantile", LEVELS, "trainer.max_epochs=40")
    summary = trained(tmp_path / "run", *run, "folds=3", "figures=false")
    assert summary["metrics"]["oof/r2"] > 0.8
    assert [RunFolder(tmp_path / "run" / "members" / n).read_summary()["interval"]["levels"] for n in "012"]
    predict(str(tmp_path / "run"), str(table), str(tmp_path / "out.csv"), "best")
    with (tmp_path / "out.csv").open() as file:
        lines = list(csv.DictReader(file))
    inside = [float(line["y_q0.1"]) <= float(line["y"]) <= float(line["y_q0.9"]) for line in lines]
    assert 0.6 < np.mean(inside) < 0.95


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("model=scratch", "loss=quantile"), r"model: expected 3 outputs a row, found \(1,\)"),
        (("model._target_=torch.nn.PReLU", "~model.init", "data=synthetic", "data.n_features=10"),
         r"expected 1 output a row, found \(10,\)"),
        (("loss=quantile", "loss.levels=[0.5,0.5]"), "loss.levels must be different"),
        (("loss=quantile", "loss.levels=[0,0.5]"), "numbers between 0 and 1"),
        (("loss=quantile", "loss.levels=[]"), "numbers between 0 and 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path: Path, overrides: tuple[str, ...], said: str) -> None:
    """A net of other outputs would be broadcast against the target, silently."""
    with pytest.raises(UserError, match=said):
        trained(tmp_path, *overrides, "figures=false", "trainer.max_epochs=2")
