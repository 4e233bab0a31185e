"""Several targets: each encoded, judged and predicted by itself, and all of them by one net."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from src.config import build
from src.config.check import settle
from src.config.starting import check_outputs, start
from src.data import sources
from src.data.described import described
from src.data.encoder import Encoder
from src.data.table import Table
from src.errors import UserError
from src.runs.evaluate import evaluate
from src.runs.folder import RunFolder
from src.runs.interval import half_width, read_out_of_fold
from src.runs.predict import predict
from src.training.predictor import Predictor
from src.training.task import METRICS, Tally, figure, figure_names, figures, larger_is_better, metric_in
from tests.compose import composed, trained

ROWS, GAPS = 240, (3, 17, 40)


def frame() -> pd.DataFrame:
    """A price of a hundred thousand and a share of a thousandth, of a number, a word and each other's gaps."""
    generator = np.random.default_rng(0)
    size, town = generator.uniform(1, 4, ROWS), generator.choice(["Bonn", "Kiel"], ROWS)
    price = 1e5 * size**2 * np.where(town == "Bonn", 2, 1) + generator.normal(0, 1e4, ROWS)
    share = 1e-3 * (np.sin(2 * size) + 3) + generator.normal(0, 2e-5, ROWS)
    found = pd.DataFrame({"size": size, "town": town, "count": generator.integers(1, 9, ROWS)})
    found = found.assign(price=price, share=share)
    found.loc[GAPS[0], "price"] = found.loc[GAPS[1], "share"] = np.nan
    found.loc[GAPS[2], ["price", "share"]] = np.nan
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "flats.csv"
    frame().to_csv(path, index=False)
    return path


def asked(table: Path, *overrides: str) -> tuple[str, ...]:
    base = ("data=csv", f"data.path={table}", "data.target=[price,share]", "logger=none", "trainer.max_epochs=6")
    return (*base, *overrides)


@pytest.fixture(scope="module")
def run(table: Path) -> tuple[RunFolder, dict[str, Any]]:
    """A run of forty epochs, and its summary."""
    path = table.parent / "run"
    said = asked(table, "trainer.max_epochs=40", "optimizer.lr=0.01", "baselines=true")
    return RunFolder(path), trained(path, *said, figures=True)


@pytest.fixture(scope="module")
def folds(table: Path) -> tuple[RunFolder, dict[str, Any]]:
    path = table.parent / "folds"
    return RunFolder(path), trained(path, *asked(table, "folds=3", "baselines=line"), figures=True)


def columns(run: Path, rows: Path, **options: Any) -> dict[str, np.ndarray]:
    out = predict(str(run), str(rows), str(rows.parent / "out.csv"), "best", **options)
    with out.open() as file:
        lines = list(csv.DictReader(file))
    added = [name for name in lines[0] if name.endswith(("_predicted", "_low", "_high"))]
    return {name: np.array([float(line[name]) for line in lines]) for name in added}


def test_targets_of_other_units_are_both_learned(run: tuple[RunFolder, dict[str, Any]], table: Path) -> None:
    """And predicted in their own: one scale for both would lose the small one, or take it for the large one."""
    folder, summary = run
    metrics = summary["metrics"]
    assert min(metrics["test/r2/price"], metrics["test/r2/share"]) > 0.9
    predicted = columns(folder.path, table)
    assert list(predicted) == ["price_predicted", "share_predicted"]
    for name in ("price", "share"):
        known = frame()[name].to_numpy()
        assert np.nanvar(predicted[f"{name}_predicted"] - known) < 0.1 * np.nanvar(known), name
    assert evaluate(str(folder.path), "best") == metrics
    assert summary["data"]["target"] == ["price", "share"]


def test_figures_of_all_targets_are_in_standard_deviations(run: tuple[RunFolder, dict[str, Any]]) -> None:
    """So that each counts alike, whatever its unit; those of a target are in its own."""
    folder, summary = run
    for found in (summary["metrics"], summary["baselines"]["ridge"]):
        for split in ("train", "val", "test"):
            own = {name: found[f"{split}/{name}"] for name in figure_names(["price", "share"])}
            assert own["r2"] == pytest.approx((own["r2/price"] + own["r2/share"]) / 2)
            assert own["mse"] == pytest.approx(1 - own["r2"])
            assert own["rmse"] == pytest.approx(own["mse"] ** 0.5)
            assert own["rmse/price"] > 1e3 > 1e-3 > own["rmse/share"]
    assert summary["objective"] == {"name": "val/mse", "value": summary["metrics"]["val/mse"]}
    last = {name: values[-1] for name, values in folder.read_metrics().items()}
    assert last["val/mse"] == pytest.approx(1 - (last["val/r2/price"] + last["val/r2/share"]) / 2)
    assert last["val/mse/price"] > 1 > last["val/mse/share"]


def test_a_figure_is_that_of_its_target_alone() -> None:
    """Weighed or not, over several batches; a constant target has no say in the figure of all."""
    generator = np.random.default_rng(0)
    target = generator.normal(size=(30, 3)) * [1e3, 1, 0]
    guess, weights = target + generator.normal(size=(30, 3)), generator.uniform(0, 2, 30)
    for heavy in (None, weights):
        spread = [np.cov(column, aweights=heavy, ddof=0) for column in target.T]
        both = figures([(guess[:9], target[:9]), (guess[9:], target[9:])], ["a", "b", "c"], np.array(spread), heavy)
        for place, name in enumerate("abc"):
            alone = figures([(guess[:, [place]], target[:, [place]])], [name], np.array([spread[place]]), heavy)
            assert {f"{metric}/{name}": alone[metric] for metric in METRICS} == pytest.approx(
                {f"{metric}/{name}": both[f"{metric}/{name}"] for metric in METRICS}, nan_ok=True
            )
        assert both["r2"] == pytest.approx((both["r2/a"] + both["r2/b"]) / 2)
        assert both["mae"] == pytest.approx((both["mae/a"] / spread[0] ** 0.5 + both["mae/b"] / spread[1] ** 0.5) / 2)
        error = torch.from_numpy((guess - target).T)
        weight = None if heavy is None else torch.from_numpy(heavy)
        for name in figure_names("ab"):
            found = figure(name, error, torch.tensor(np.array(spread)), weight, "abc")
            assert float(found) == pytest.approx(both[name], rel=1e-6), name
    assert larger_is_better("val/r2/mse")
    assert not larger_is_better("val/mse/r2")
    assert metric_in("val/rmse/km/h") == "rmse"


def test_a_member_axis_keeps_targets_apart() -> None:
    """Members with batches of their own, each row with its weight: what each comes to alone."""
    error = torch.randn(4, 2, 9, dtype=torch.float64)
    weight, spread = torch.rand(4, 1, 9, dtype=torch.float64), torch.rand(4, 2, dtype=torch.float64) + 1
    together, apart = Tally(), [Tally() for _ in range(4)]
    together.add(error, weight)
    for tally, *own in zip(apart, error, weight, strict=True):
        tally.add(*own)
    found = together.figures(spread, ["a", "b"])
    for place, tally in enumerate(apart):
        alone = tally.figures(spread[place], ["a", "b"])
        for name, value in alone.items():
            torch.testing.assert_close(found[name][place], value.reshape(()))


@pytest.mark.parametrize("kind", ["none", "standard", "log", "yeo-johnson"])
def test_each_target_is_encoded_by_itself(kind: str, table: Path) -> None:
    """As if it were the only one, and decoded so, from plain values as well."""
    rows = np.arange(0, 200, 2)
    both = sources.csv(str(table), ["price", "share"], ["size"], np.float64)
    encoder = Encoder.from_state_dict(Encoder.fit(both, rows, "standard", kind).state_dict())
    encoded = encoder.encode_rows(both, rows)[1]
    for place, name in enumerate(both.target_names):
        one = Table(both.features, both.target[:, place], both.feature_names, name, "", str, np.float64)
        alone = Encoder.fit(one, rows, "standard", kind)
        torch.testing.assert_close(encoded[:, [place]], alone.encode_rows(one, rows)[1])
    assert encoder.decode(encoded) == pytest.approx(both.target[rows], rel=1e-9)
    if kind != "none":
        torch.testing.assert_close(encoded.std(0, correction=0), torch.ones(2, dtype=torch.float64))


def test_what_a_state_says_of_targets_is_checked(table: Path) -> None:
    both = sources.csv(str(table), ["price", "share"], ["size"], np.float32)
    state = Encoder.fit(both, np.arange(100), "standard", "standard").state_dict()
    for change, said in (
        ({"target_name": ["price", "price"]}, "target_name: expected different names"),
        ({"target_name": ["a", "b", "c"]}, "target: expected 3 of them"),
        ({"target_name": []}, "target_name: expected a name"),
        (
            {"target": [state["target"][0], {**state["target"][1], "scale": 0.0}]},
            r"target\.1\.scale: expected a number",
        ),
    ):
        with pytest.raises(UserError, match=said):
            Encoder.from_state_dict(state | change)


def test_rows_that_lack_a_target_are_left_out(table: Path) -> None:
    """Whichever it is, and counted once; a target without any number is named, as are targets that never meet."""
    both = sources.csv(str(table), ["price", "share"], None, np.float32)
    assert (len(both), both.dropped) == (ROWS - 3, 3)
    assert np.isfinite(both.target).all()
    assert both.target[:, 1].min() > 0.001
    assert "3 rows that lack a target are left out" in list(described(both))
    assert both.feature_names == ["size", "town", "count"]
    for rows, said in (
        ("a,y,z\n1,2,\n2,3,\n", "the target 'z' holds no number"),
        ("a,y,z\n1,2,\n2,,3\n", "no row has a number in each of the targets y, z"),
    ):
        (table.parent / "gaps.csv").write_text(rows)
        with pytest.raises(UserError, match=said):
            sources.csv(str(table.parent / "gaps.csv"), ["y", "z"], None, np.float32)


def test_a_copy_of_any_target_is_no_feature(tmp_path: Path) -> None:
    found = frame().dropna().assign(again=lambda rows: rows["share"])
    found.to_csv(tmp_path / "rows.csv", index=False)
    both = sources.csv(str(tmp_path / "rows.csv"), ["price", "share"], None, np.float64)
    assert both.left_out == {"again": "a copy of the target"}


def test_a_list_of_one_target_is_that_target(table: Path, tmp_path: Path) -> None:
    """To the bit, and in every file."""
    for place, target in enumerate(("share", "[share]")):
        trained(tmp_path / str(place), *asked(table, f"data.target={target}", "data.drop=[price]"))
    one, other = (RunFolder(tmp_path / name) for name in "01")
    assert one.metrics.read_bytes() == other.metrics.read_bytes()
    assert one.config.read_bytes() == other.config.read_bytes()
    states = [torch.load(each.checkpoint("best"), weights_only=True) for each in (one, other)]
    assert str(states[0]["DataModule"]) == str(states[1]["DataModule"])
    assert states[0]["DataModule"]["target_name"] == "share"
    assert all(torch.equal(value, states[1]["state_dict"][name]) for name, value in states[0]["state_dict"].items())


def test_folds_leave_out_every_target(folds: tuple[RunFolder, dict[str, Any]], table: Path) -> None:
    """Figures, file and intervals are those of each; predictions are the members' mean."""
    folder, summary = folds
    metrics = summary["metrics"]
    with folder.out_of_fold.open() as file:
        assert next(csv.reader(file)) == ["row", "fold", "price", "price_predicted", "share", "share_predicted"]
    known = sources.csv(str(table), ["price", "share"], None, np.float32)
    halves = []
    for place, (name, own) in enumerate(zip(known.target_names, read_out_of_fold(folder.out_of_fold), strict=True)):
        errors = own["prediction"] - own["target"]
        assert np.array_equal(own["target"], known.target[own["row"].astype(int), place])
        assert np.mean(errors**2) == pytest.approx(metrics[f"oof/mse/{name}"], rel=1e-9)
        halves.append(half_width(own, 0.8))
    assert metrics["oof/r2"] == pytest.approx((metrics["oof/r2/price"] + metrics["oof/r2/share"]) / 2)
    assert summary["interval"]["half_width"] == [half_width(own, 0.9) for own in read_out_of_fold(folder.out_of_fold)]
    assert len(summary["interval"]["coverage"]) == 2
    found = columns(folder.path, table, interval=0.8)
    assert list(found) == [f"{name}_{what}" for name in ("price", "share") for what in ("predicted", "low", "high")]
    kept = np.flatnonzero(frame().notna().all(axis=1))
    for name, half, own in zip(known.target_names, halves, read_out_of_fold(folder.out_of_fold), strict=True):
        assert found[f"{name}_high"] - found[f"{name}_predicted"] == pytest.approx(half, rel=1e-6)
        each = [columns(member.path, table)[f"{name}_predicted"] for member in folder.members()]
        assert found[f"{name}_predicted"] == pytest.approx(np.mean(each, axis=0), rel=1e-9)
        rows = kept[own["row"].astype(int)]
        assert own["prediction"] == pytest.approx(np.array(each)[own["fold"].astype(int), rows], rel=1e-5)
    assert evaluate(str(folder.path), "best") == pytest.approx(metrics, rel=1e-12)


def test_a_resumed_run_comes_to_the_same_bits(table: Path, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", *asked(table))
    trained(tmp_path / "half", *asked(table, "trainer.max_epochs=3"))
    rest = trained(tmp_path / "rest", *asked(table, f"resume={tmp_path / 'half'}"))
    assert rest["metrics"] == whole["metrics"]
    with pytest.raises(
        UserError, match=r"learned \['price', 'share'\], the target of this run is \['share', 'price'\]"
    ):
        trained(tmp_path / "other", *asked(table, "data.target=[share,price]", f"resume={tmp_path / 'half'}"))


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.steps_per_execution=1", "data.weight=count"),
        ("model=mlp", "model.start=least_squares", "data.categorical=[town]", "loss=huber"),
        ("model=realmlp", "trainer.max_epochs=40"),
        ("model=resnet", "loss=mae", "data.target_scaling=yeo-johnson"),
        ("model=tabm", "model.width=16", "model.k=4", "optimizer.lr=0.01"),
        ("ensemble=2", "data.numeric_embedding=piecewise_linear", "baselines=line"),
        ("folds=3", "data.weight=count", "baselines=line"),
    ],
    ids=lambda overrides: overrides[0],
)
def test_whatever_learns_one_learns_several(overrides: tuple[str, ...], table: Path, tmp_path: Path) -> None:
    """And the plain way, weights and other losses as well."""
    metrics = trained(tmp_path, *asked(table, "optimizer.lr=0.03", "trainer.max_epochs=15", *overrides))["metrics"]
    assert min(metrics["test/r2/price"], metrics["test/r2/share"]) > 0.6
    assert evaluate(str(tmp_path), "best") == pytest.approx(metrics, rel=1e-9)


def test_a_net_starts_at_the_line_of_each_target(table: Path) -> None:
    """Ridge regression's, so that before any step it is as good as that on each; and keeps to each one's range."""
    cfg = composed(*asked(table))
    settle(cfg)
    part = build.partition(cfg, build.table(cfg))
    net = start(build.net(cfg, part.encoder.shape), part, cfg)
    predictor = Predictor(net, part.encoder)
    target = part.table.target
    error = predictor.on(part.table.columns)(part.table.features) - target
    rows = np.column_stack([part.table.features, np.ones(len(target))])
    least = target - rows @ np.linalg.lstsq(rows, target, rcond=None)[0]
    assert (np.mean(error**2, axis=0) < 1.2 * np.mean(least**2, axis=0)).all()
    for far, place in ((-1e3, 0), (1e3, 1)):
        net.line.bias.data.fill_(far)
        ends = [ends[place] + 0.1 * (ends[1] - ends[0]) * (2 * place - 1) for ends in part.extent()]
        assert net.eval()(part.encoded("train")[0])[0].tolist() == pytest.approx(ends)


def test_lines_are_named_by_their_target(table: Path, tmp_path: Path) -> None:
    """Learned and least squares, in raw units; nothing is scaled but the targets, that each counts alike."""
    line = asked(table, "model=linear", "data.features=[size]", "optimizer=adam", "optimizer.lr=0.1", "loss=mse")
    assert build.scalings(composed(*line)) == ("none", "standard")
    summary = trained(
        tmp_path, *line, "trainer.max_epochs=600", "callbacks=default", "data.val_fraction=0", "data.batch_size=null"
    )
    names = ["slope/price", "intercept/price", "slope/share", "intercept/share"]
    assert list(summary["parameters"]) == names
    for name in names:
        assert summary["parameters"][name] == pytest.approx(summary["reference"][name], rel=2e-2)
    assert summary["reference"]["r2"] == pytest.approx(
        (summary["reference"]["r2/price"] + summary["reference"]["r2/share"]) / 2
    )
    assert summary["reference"]["mse/share"] == pytest.approx(summary["metrics"]["train/mse/share"], rel=1e-3)


def test_every_picture_has_a_panel_for_each_target(
    run: tuple[RunFolder, dict[str, Any]], folds: tuple[RunFolder, dict[str, Any]]
) -> None:
    from src.figures.curves import panels
    from src.figures.rows import fit, residuals
    from src.reports.pages.subject import Opener
    from src.reports.run_page import report_run
    from src.runs.picture import of_one
    from src.runs.reference import Reference
    from src.runs.restore import load_config, load_one

    for folder, _ in (run, folds):
        assert {path.name for path in folder.figures.iterdir()} == {"curves.png", "fit.png", "residuals.png"}
        page = report_run(folder).read_text()
        for name in ("price", "share"):
            assert f"Predicted against true: {name}" in page
            assert f"Permutation importance: {name}" in page
            assert f"{name}, true" in page
    folder, summary = run
    cfg = load_config(folder)
    predictor = load_one(folder, cfg, "best")
    drawn = of_one(cfg, folder, predictor, Reference(build.partition(cfg, build.table(cfg))), summary)
    assert [panel.title for panel in panels(drawn.course)][1:] == [
        "mse, standard deviations²",
        "r2 of each target, val",
    ]
    assert list(panels(drawn.course)[2].curves) == ["price", "share"]
    labels = [axes.get_xlabel() for axes in fit(drawn.fits).axes]
    assert labels == ["price, actual", "share, actual"]
    assert len(residuals(drawn.fits).axes) == 4
    assert [own.splits[0].target.max() > 1 for own in drawn.fits] == [True, False]
    judged = Opener().open(folder).judged
    assert judged.of(1).residual == pytest.approx(judged.residual[:, 1])


def test_a_net_of_another_width_is_refused(table: Path) -> None:
    """It would be broadcast against the targets, silently."""
    net = ("model=mlp", "model.hidden=[4]", "data.features=[size]")
    cfg = composed(*asked(table, *net))
    part = build.partition(cfg, build.table(cfg))
    narrow = build.net(composed(*asked(table, *net, "data.target=price")), part.encoder.shape)
    with pytest.raises(UserError, match=r"model: expected 2 outputs a row, found \(1,\)"):
        check_outputs(narrow, part, cfg)


@pytest.mark.parametrize("role", ["group", "time", "split", "weight"])
def test_a_target_has_no_other_role(role: str, table: Path, tmp_path: Path) -> None:
    """Rows that are split by what is to be predicted judge nothing."""
    with pytest.raises(UserError, match=f"data.{role}=share: is the target, expected another column"):
        trained(tmp_path / "run", *asked(table), f"data.{role}=share")
