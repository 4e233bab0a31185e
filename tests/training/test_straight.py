"""model.start=least_squares: a net beside a straight line, which starts at ridge regression's."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from src.config import build, starting
from src.config.check import settle
from src.data.described import described
from src.errors import UserError
from src.models.embedding import Embedded, Hide, embedded_width
from src.models.ridge import ridge
from src.models.straight import CLIP, Straight
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.predict import predict
from src.runs.restore import load_config, load_one
from src.training.predictor import Predictor
from tests.compose import composed, trained

NUMBERS, CODES, ENTRIES = 4, 2, 21


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Four numbers, two codes that matter, and a target of deviation about 1."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(count, NUMBERS, generator=generator)
    codes = torch.randint(0, 11, (count, CODES), generator=generator)
    codes[:, 1] += 10 * (codes[:, 1] > 0)
    slopes, values = torch.tensor([0.5, -0.3, 0.2, 0.0]), torch.linspace(-0.5, 0.5, ENTRIES)
    target = numbers @ slopes + values[codes].sum(1) + 0.1 * torch.randn(count, generator=generator)
    return torch.cat([numbers, codes.float()], 1), target[:, None]


def net(seed: int = 0) -> Straight:
    """A small one with an embedding."""
    torch.manual_seed(seed)
    inner = nn.Sequential(nn.Linear(embedded_width(NUMBERS + CODES, CODES), 8), nn.ReLU(), nn.Linear(8, 1))
    return Straight(Embedded(inner, CODES, ENTRIES), NUMBERS + CODES, CODES, ENTRIES)


def design(features: Tensor) -> np.ndarray:
    """What the line sees: clipped numbers, and a column for each known code."""
    numbers = features[:, :NUMBERS].double()
    near = numbers / (1 + (numbers / CLIP) ** 2).sqrt()
    known = nn.functional.one_hot(features[:, NUMBERS:].long(), ENTRIES).sum(1)[:, 1:]
    return torch.cat([near, known], 1).numpy()


def test_it_starts_at_the_ridge_line() -> None:
    """At step 0, to 1e-6, whatever the net's own weights are; its last layer is zero, so that it has a slope."""
    features, target = rows(300, 0)
    found = net()
    found.start((features, target), None)
    line = Ridge(1.0).fit(design(features), target[:, 0].double().numpy()).predict(design(features))
    assert found.eval()(features)[:, 0].detach().numpy() == pytest.approx(line, abs=2e-6)
    found.train()(features).square().sum().backward()
    assert found.net.layers[2].weight.grad.abs().sum() > 0


def test_validation_rows_choose() -> None:
    """The penalty, and whether numbers are clipped: never worse there than the penalty that nobody chose."""
    (features, target), val = rows(30, 1), rows(300, 2)
    chosen, fixed = net(), net()
    chosen.start((features, target), val)
    fixed.start((features, target), None)
    errors = [(each.eval()(val[0]) - val[1]).square().mean().item() for each in (chosen, fixed)]
    assert errors[0] <= errors[1]
    assert float(chosen.wide) == 0
    # A target that follows a tail, which a clipped number cannot: the line takes numbers as they are.
    tail = torch.distributions.StudentT(2.0).sample((400, NUMBERS)) * 4
    long = torch.cat([tail, torch.ones(400, CODES)], 1)
    chosen.start((long[:300], tail[:300, :1]), (long[300:], tail[300:, :1]))
    assert float(chosen.wide) == 1


def test_predictions_keep_to_the_range_of_the_target() -> None:
    """A row far off, met after training, is no reason for a prediction that nobody has seen."""
    features, target = rows(300, 0)
    found = net()
    found.start((features, target), rows(50, 1))
    far = features[:1].clone()
    far[0, 0] = 1e6
    found.wide.fill_(1)
    low, high = target.min().item(), target.max().item()
    assert found.eval()(far).item() == pytest.approx(high + 0.1 * (high - low), rel=1e-5)
    assert found.train()(far).item() > 2 * high


def test_rare_codes_are_hidden_more_often() -> None:
    """While training only, with probability 2 / (2 + n) for a value met n times."""
    hide = Hide(4)
    features = torch.cat([torch.zeros(60, 1), torch.tensor([1.0] * 50 + [2.0] * 8 + [3.0] * 2)[:, None]], 1)
    one = Straight(Embedded(nn.Linear(9, 1), 1, 4), 2, 1, 4)
    one.start((features, torch.randn(60, 1)), None)
    assert one.hide is not None
    assert one.hide.chance.weight[1:, 0].tolist() == pytest.approx([2 / 52, 2 / 10, 2 / 4])
    hide.chance.weight.copy_(one.hide.chance.weight)
    torch.manual_seed(0)
    codes = torch.tensor([1.0, 2.0, 3.0]).expand(20_000, 3)
    hidden = (hide.train()(codes) == 0).double().mean(0)
    assert hidden.tolist() == pytest.approx([2 / 52, 2 / 10, 2 / 4], abs=0.012)
    assert torch.equal(hide.eval()(codes), codes)


def test_what_has_no_last_layer_is_refused() -> None:
    """In a line that names the key."""
    with pytest.raises(UserError, match=r"model\.start=least_squares needs a net"):
        Straight(nn.Sequential(nn.Flatten(), nn.ReLU()), 3, 0, 1)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words of three and of twelve values, gaps, a date, and a target that depends on all."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "table.csv"
    lines = ["size,colour,town,built,price"]
    for row in range(150):
        size, colour, town = generator.normal(), generator.integers(3), generator.integers(12)
        town = town if row % 40 else 12 + row // 40  # four towns are met once
        price = 50 + 5 * size + 3 * colour + town + generator.normal()
        built = f"20{row % 20:02d}-0{row % 9 + 1}-15"
        lines.append(f"{'' if row % 11 == 0 else round(size, 3)},{'rgb'[colour]},town{town},{built},{price:.3f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def settled(*overrides: str) -> DictConfig:
    """A configuration as a run reads it."""
    cfg = composed(*overrides)
    settle(cfg)
    return cfg


def open_one(folder: RunFolder) -> Predictor:
    """A member's model."""
    return load_one(folder, load_config(folder), "best")


def predictions(folder: RunFolder, table: Path, out: Path) -> np.ndarray:
    """Of every row of a file, by the command."""
    predict(str(folder.path), str(table), str(out / "out.csv"), "best")
    return pd.read_csv(out / "out.csv")["price_predicted"].to_numpy()


def test_any_table_trains_without_an_option(table: Path, tmp_path: Path) -> None:
    """data=csv chooses model, optimizer, batches and early stopping; folds are one stack and equal runs alone."""
    base = ("data=csv", f"data.path={table}", "data.target=price", "logger=none", "trainer.max_epochs=5", "folds=3")
    cfg = composed(*base)
    assert (cfg.model.start, cfg.data.batch_size, cfg.callbacks.early_stopping.monitor) == (
        *("least_squares", "auto"),
        "val/mse",
    )
    summary = trained(tmp_path / "folds", *base)
    assert summary["metrics"]["test/r2"] > 0.8
    alone = trained(tmp_path / "alone", *base, "fold=1")
    assert summary["members"][1]["metrics"] == pytest.approx(alone["metrics"], rel=2e-4)
    members = RunFolder(tmp_path / "folds").members()
    # A fold that has not met every town has other codes for those it has.
    codes = [each.encoder.categories[1].values for each in map(open_one, members)]
    assert codes[0] != codes[1] or codes[1] != codes[2]
    together, *each = (predictions(folder, table, tmp_path) for folder in (RunFolder(tmp_path / "folds"), *members))
    assert together == pytest.approx(np.mean(each, axis=0), rel=1e-6)
    part = build.partition(cfg_of := settled(*base, "fold=0"), build.table(cfg_of))
    errors = together[part.rows["test"]] - part.table.target[part.rows["test"], 0]
    assert summary["metrics"]["test/mse"] == pytest.approx(np.mean(errors**2), rel=1e-4)
    assert evaluate(str(members[1].path), "best") == pytest.approx(alone["metrics"], rel=2e-4)


def test_a_run_starts_at_the_line_of_its_training_rows(table: Path) -> None:
    """Built as a run builds it, and the shared net is not touched."""
    cfg = composed("data=csv", f"data.path={table}", "data.target=price")
    settle(cfg)
    part = build.partition(cfg, build.table(cfg))
    made = build.net(cfg, part.encoder.shape)
    before = copy.deepcopy(made.state_dict())
    started = starting.start(made, part, cfg)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    features, target = part.encoded("val")
    assert (started.eval()(features) - target).square().mean() < 0.4 * target.var()


def test_the_log_says_what_each_column_was_taken_for(table: Path, tmp_path: Path) -> None:
    """Kind, distinct values, gaps, range or most frequent values, and what becomes of it; ids are named."""
    lines = table.read_text().splitlines()
    numbered = tmp_path / "numbered.csv"
    numbered.write_text("\n".join(["id," + lines[0], *(f"{place},{line}" for place, line in enumerate(lines[1:]))]))
    cfg = settled("data=csv", f"data.path={numbered}", "data.target=price", "data.drop=[built]")
    said = {line.split()[0]: " ".join(line.split()) for line in described(build.table(cfg))}
    assert said["size"].startswith("size number")
    assert said["size"].endswith("a number, a gap the median and a flag")
    assert " 14 " in said["size"]
    assert said["colour"].startswith("colour category 3 ")
    assert said["colour"].endswith("3 columns")
    assert said["town"].startswith("town category 16 town")
    assert said["town"].endswith("an embedding")
    assert said["price"].endswith("the target")
    assert said["id"] == "id left out: an id: a whole number of its own for each row"
    assert said["built"] == "built left out: data.drop"


def test_evaluate_reads_changed_rows_by_the_models_own_places(table: Path, tmp_path: Path) -> None:
    """A town that was added to the file shifts all that come after it in the alphabet."""
    own = tmp_path / "own.csv"
    own.write_text(table.read_text())
    run = tmp_path / "run"
    trained(run, "data=csv", f"data.path={own}", "data.target=price", "logger=none", "trainer.max_epochs=5")
    own.write_text(table.read_text() + "0.1,r,a_town,2001-01-15,53.0\n")
    assert evaluate(str(run), "best")["train/r2"] > 0.9


def test_a_table_of_words_alone(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Its line has values for the words and no slope: NumPy's mean of no column was a division by zero."""
    words = [f"w{place % 12}" for place in range(96)]
    rows = "".join(f"{word},{place % 12}\n" for place, word in enumerate(words))
    (tmp_path / "words.csv").write_text(f"word,y\n{rows}")
    csv = ("data=csv", f"data.path={tmp_path / 'words.csv'}", "data.target=y")
    summary = trained(tmp_path / "run", *csv, "logger=none", "trainer.max_epochs=1")
    assert summary["metrics"]["test/r2"] > 0.9
    assert not [each for each in recwarn if "zero-element" in str(each.message)]


@pytest.mark.parametrize("far", [0.0, 1e4, 1e7])
def test_a_line_through_columns_far_from_zero_is_the_same(far: float) -> None:
    generator = np.random.default_rng(0)
    numbers, codes = generator.standard_normal((400, 3)), generator.integers(1, 5, (400, 1))
    target = numbers @ [1.0, -2.0, 0.5] + 0.1 * codes[:, 0]
    rows = ((numbers + np.array([far, 0, 0]), codes), target, None)
    line, error = ridge(rows, 5, rows)
    assert line.slopes == pytest.approx([1, -2, 0.5], abs=1e-3)
    assert error < 1e-4
