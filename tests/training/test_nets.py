"""Nets for tables and what they make of numbers: residual blocks, TabM, embeddings of numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from src.errors import UserError
from src.models.numeric import Periodic, PiecewiseLinear, Spread, fit_bins, spread, spread_width
from src.models.resnet import ResNet
from src.models.straight import Straight
from src.models.tabm import TabM
from src.runs.evaluate import evaluate
from src.runs.predict import predict
from src.training.losses import OfEach
from src.training.quantile import Quantile
from tests.compose import trained
from tests.stacking.pairs import SMALL, alone, config, gap, together, variants

NETS = {
    "resnet": ("model=resnet", "model.width=8"),
    "bins": ("model=mlp", "model.hidden=[8]", "data.numeric_embedding=piecewise_linear", "data.numeric_bins=4"),
    "cosines": ("model=mlp", "model.hidden=[8]", "data.numeric_embedding=periodic"),
    "bins beside a line": (*("model=table", "model.hidden=[8]"), "data.numeric_embedding=piecewise_linear"),
    "a line of bins": ("model=linear", "model.standardize=true", "data.numeric_embedding=piecewise_linear"),
}


@pytest.mark.parametrize("name", NETS)
def test_members_come_to_what_each_comes_to_alone(name: str, tmp_path: Path) -> None:
    """Of any of these nets, with seeds and learning rates of their own, and bins of their own rows."""
    base = config(*SMALL, *NETS[name], "optimizer=adam", "data.val_fraction=0.25", "trainer.precision=64-true")
    members = variants(base, {"seed": 1}, {"seed": 2}, {"optimizer.lr": 0.02})
    pairs = list(zip(alone(members, tmp_path), together(members, tmp_path), strict=True))
    assert max(gap(*pair) for pair in pairs) < 1e-9
    assert len({pair[0].read_summary()["metrics"]["val/mse"] for pair in pairs}) == 3


@pytest.mark.parametrize("name", ["resnet", "bins beside a line", "cosines"])
def test_a_run_is_read_again(name: str, tmp_path: Path) -> None:
    """Bins and all, from its folder alone."""
    summary = trained(tmp_path, *SMALL, *NETS[name], "data.val_fraction=0.25")
    assert evaluate(str(tmp_path), "best") == summary["metrics"]


def test_a_number_counts_the_bins_that_it_has_passed() -> None:
    """At the k-th quantile k bins are full, and beyond the outermost they go on as straight lines."""
    layer = PiecewiseLinear(2, 4)
    values = torch.arange(101.0)
    layer.fit(torch.stack([values, values.square()], 1))
    edges = torch.tensor([[25.0, 50.0**2], [100.0, 100.0**2], [110.0, 0.0], [-25.0, 37.5**2]])
    found = layer(edges).unflatten(-1, (2, 4))
    assert found[0].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert found[1].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    assert found[2, 0].tolist() == pytest.approx([1, 1, 1, 1.4])
    assert found[3, 0].tolist() == pytest.approx([-1, 0, 0, 0])
    assert found[3, 1].tolist() == pytest.approx([1, (37.5**2 - 25**2) / (50**2 - 25**2), 0, 0])
    assert torch.equal(layer(edges[None].expand(3, -1, -1))[1], layer(edges))  # with a member axis


def test_equal_values_make_no_bin() -> None:
    """A column that is mostly 0 has one bin for the rest, and a constant one none."""
    layer = PiecewiseLinear(2, 4)
    column = torch.cat([torch.zeros(80), torch.linspace(1, 2, 21)])
    layer.fit(torch.stack([column, torch.ones(101)], 1))
    found = layer(torch.tensor([[0.0, 5.0], [2.0, 1.0]])).unflatten(-1, (2, 4))
    assert found[:, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
    assert not found[:, 1].any()
    assert found.isfinite().all()


def test_cosines_stand_beside_the_number() -> None:
    """Each number is kept, and a linear map of its own cosines is added."""
    layer = Periodic(2)
    numbers = torch.randn(5, 2)
    found = layer(numbers).unflatten(-1, (2, 4))
    assert torch.equal(found[..., 0], numbers)
    waves = torch.cos(2 * torch.pi * numbers[3, 1] * layer.frequency[0, 1] + layer.phase[0, 1])
    assert torch.allclose(found[3, 1, 1:], waves @ layer.weight[1] + layer.bias[0, 1])
    assert layer(numbers).shape[-1] == spread_width(2, "periodic", 2, 8)


def test_flags_and_codes_pass_by() -> None:
    """Only the first columns are embedded."""
    net = spread(nn.Identity(), "piecewise_linear", 1, 2)
    assert isinstance(net, Spread)
    fit_bins(net, torch.tensor([[0.0, 9.0], [1.0, 9.0], [2.0, 9.0]]))
    assert net(torch.tensor([[1.5, 7.0]])).tolist() == [[1, 0.5, 7]]
    assert spread(net, "none", 3, 2) is net
    assert spread(net, "periodic", 0, 2) is net


def test_residual_blocks_add() -> None:
    """With their last layers at zero they change nothing; dropout is off where nothing is trained."""
    net = ResNet(3, 8, 2, 2.0, "mish", 0.5, 4).eval()
    for block in (net.layers[1], net.layers[2]):
        for part in block.layers[-1].parameters():
            nn.init.zeros_(part)
    rows = torch.randn(6, 3)
    assert torch.equal(net(rows), net.layers[3:](net.layers[0](rows)))
    assert net(rows).shape == (6, 4)
    with pytest.raises(UserError, match="did you mean 'relu'"):
        ResNet(3, 8, 1, 2.0, "rellu", 0.0)


def test_predictions_of_tabm_learn_each_by_itself(tmp_path: Path) -> None:
    """The loss is the mean of theirs, the prediction is their mean."""
    torch.manual_seed(0)
    net, rows, target = TabM(3, 5, 1, 16, 0.0), torch.randn(9, 3), torch.randn(9, 1)
    several = net(rows).detach()
    assert several.shape == (9, 5, 1)
    assert torch.allclose(net.eval()(rows), several.mean(1))
    apart = torch.stack([nn.functional.mse_loss(several[:, place], target) for place in range(5)])
    assert float(OfEach(nn.MSELoss())(several, target)) == pytest.approx(float(apart.mean()))
    assert float(apart.mean()) > float(nn.functional.mse_loss(several.mean(1), target))
    quantile = Quantile([0.1, 0.5])
    each = torch.stack([quantile(torch.cat([several[:, place]] * 2, -1), target) for place in range(5)])
    assert float(OfEach(quantile)(torch.cat([several] * 2, -1), target)) == pytest.approx(float(each.mean()))
    summary = trained(
        *(tmp_path, *SMALL, "model=tabm", "model.width=16", "model.k=4", "optimizer=adamw", "optimizer.lr=0.01"),
        *("trainer.max_epochs=60", "data.batch_size=8"),
    )
    assert summary["metrics"]["train/r2"] > 0.9
    assert evaluate(str(tmp_path), "best") == summary["metrics"]


def test_words_and_numbers_are_embedded_together(tmp_path: Path) -> None:
    """A net of a table's numbers in bins, flags of gaps, one-hot columns and codes; an unknown word is no obstacle."""
    table, generator = tmp_path / "table.csv", np.random.default_rng(0)
    words = [f"w{place}" for place in generator.integers(0, 15, 120)]
    numbers = [f"{value:.3f}" if value > -1 else "" for value in generator.normal(size=120)]
    lines = zip(words, numbers, generator.choice(["a", "b"], 120), generator.normal(size=120), strict=True)
    table.write_text("word,x,kind,y\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in lines))
    run = ("data=csv", f"data.path={table}", "data.target=y", "trainer.max_epochs=3")
    for kind in ("piecewise_linear", "periodic"):
        trained(tmp_path / kind, *run, f"data.numeric_embedding={kind}")
        new = tmp_path / "new.csv"
        new.write_text("word,x,kind\nw3,0.5,a\nnever,,c\n")
        found = predict(str(tmp_path / kind), str(new), None, "best").read_text().splitlines()
        assert all(np.isfinite(float(line.split(",")[-1])) for line in found[1:])


def test_a_line_needs_a_last_layer_of_its_own_kind() -> None:
    """One that gives many predictions at once has none that could start at zero."""
    with pytest.raises(UserError, match=r"model\.start=least_squares needs a net that ends in an nn\.Linear"):
        Straight(TabM(3, 4, 1, 8, 0.0), 3, 0, 1)
