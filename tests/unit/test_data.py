"""Reading, encoding, splitting and ordering rows."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from src.data import arrow_csv, reader, sources
from src.data.encoder import Encoder
from src.data.executions import Executions
from src.data.form import Form
from src.data.order import row_order, split
from src.data.partition import Partition
from src.data.table import Table
from src.errors import UserError
from src.models.least_squares import least_squares
from tests.compose import trained

STANDARD = ("standard", "standard")  # of features and target


def parsed(path: Path, names: list[str], fits: Any) -> np.ndarray:
    return np.concatenate(list(reader.Source([path], Form()).numbers(names, fits)), axis=1).T


def table(rows: int, features: int = 2, offset: float = 0.0) -> Table:
    generator = np.random.default_rng(0)
    matrix = (offset + generator.normal(size=(rows, features))).astype(np.float32)
    return Table(matrix, matrix.sum(axis=1), [f"x{i}" for i in range(features)], "y", "test", str)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_file_read_in_pieces_is_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, last: bool
) -> None:
    numbers = np.random.default_rng(0).normal(size=(500, 3))
    lines = [",".join(repr(float(v)) for v in row) for row in numbers]
    lines.insert(7, "")  # a blank line is no row
    path = tmp_path / "rows.csv"
    text = "\ufeffa,b,c" + ending + ending.join(lines) + (ending if last else "")
    path.write_bytes(text.encode())
    monkeypatch.setattr(arrow_csv, "_PIECE", 1000)  # some thirty pieces, cut within lines
    np.testing.assert_array_equal(parsed(path, ["c", "a"], np.float64), numbers[:, [2, 0]])


def test_lines_that_grow_longer_than_the_first_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_csv, "_PIECE", 100)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1.000000000000000,2.000000000000\n" * 10 + "1,2\n" * 300)
    assert parsed(path, ["a", "b"], np.float32).shape == (310, 2)


def test_pieces_of_blank_lines_only_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_csv, "_PIECE", 10)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n" + "\n" * 40 + "3,4\n" + "\n" * 40)
    np.testing.assert_array_equal(parsed(path, ["a", "b"], np.float32), [[1, 2], [3, 4]])


QUOTED = ['"a\nb"', '"\n"', '"a ""b""\r\nc, d"', '""', "plain", '5" pipe', '"\n\n\n"']


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", ["name,a,b", '"na\nme",a,b', '\ufeff"na\n""me""\n","a",b', '\n"na\nme",a,b'])
@pytest.mark.parametrize("size", [7, 64, 1000, 1 << 20])
def test_newlines_in_quotes_end_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, header: str, size: int
) -> None:
    """However large a block is parsed."""
    monkeypatch.setattr(arrow_csv, "_PIECE", size)
    path = tmp_path / "rows.csv"
    rows = [f"{QUOTED[i % 7]},{i},{2 * i}" for i in range(150)]
    path.write_bytes(ending.join([header, *rows]).encode())
    expected = np.arange(150)[:, None] * [2.0, 1.0]
    np.testing.assert_array_equal(parsed(path, ["b", "a"], np.float64), expected)


@pytest.mark.parametrize("size", range(20, 60))
def test_a_quote_near_the_end_is_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(arrow_csv, "_PIECE", size)
    path = tmp_path / "rows.csv"
    path.write_text("a,name,b\n" + "1,x,1\n" * 100 + '2000000000000000,"' + "\n" * 300 + '",2\n')
    assert parsed(path, ["b"], np.float32).sum() == 102


def test_a_mistake_below_a_quoted_newline_is_found(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('name,a\n"x\ny",1\nz,two\n')
    with pytest.raises(UserError, match=r"row 2 \(line 4\), column 'a': found the text 'two'"):
        sources.csv(str(path), "a", None, np.float32)


def test_the_digest_is_of_the_file_that_was_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n1,2\n3,4\n")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = sources.csv(str(path), "y", None, np.float32)
    path.unlink()
    assert rows.sha256 == expected
    assert not caplog.records
    path.write_text("a,y\n1,2\n")
    before = path.stat()
    path.write_text("a,y\n1,2\n5,6\n")
    sources.sha256_in_background([path], [before])()
    assert "changed while it was read" in caplog.text


def test_linear_algebra_over_chunks_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spin while they wait for each other, seconds where another process wants a core."""
    before = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    used: list[int] = []

    def noted(function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            used.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
            return function(*args, **options)

        return call

    monkeypatch.setattr("numpy.linalg.qr", noted(np.linalg.qr))
    monkeypatch.setattr("numpy.square", noted(np.square))
    with threadpool_limits(2):
        data = Partition(table(5000), 0.0, 0.0, *STANDARD, seed=0)
        encoding = len(used)
        least_squares(lambda: data.design("train"))
    assert 0 < encoding < len(used)
    assert set(used) == {1}
    assert before == {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_standardized_rows_have_mean_0_and_deviation_1_and_decode_to_themselves(offset: float) -> None:
    rows = table(70_000, offset=offset)
    encoder = Encoder.fit(rows, np.arange(len(rows)), *STANDARD)
    features, target = encoder.encode_rows(rows, np.arange(len(rows)))
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.double().mean(0), torch.zeros(2).double(), atol=2e-4, rtol=0)
    torch.testing.assert_close(features.double().std(0), torch.ones(2).double(), atol=2e-4, rtol=0)
    np.testing.assert_allclose(encoder.decode(target), rows.target, rtol=1e-5, atol=1e-5)
    again = Encoder.from_state_dict(encoder.state_dict())
    np.testing.assert_array_equal(
        again.encode(rows.features[:9], np.float32), encoder.encode(rows.features[:9], np.float32)
    )


def far_rows(path: Path) -> None:
    """y = 1e9 + 3 a + 2 (b - 1.7e9) + noise of deviation 5: what float32 rounds to multiples of 64 and 128."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 400))
    b += 1.7e9
    y = 1e9 + 3 * a + 2 * (b - 1.7e9) + generator.normal(0, 5, 400)
    np.savetxt(path, np.column_stack([a, b, y]), "%.17g", ",", header="a,b,y", comments="")


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_columns_far_from_zero_keep_their_digits(tmp_path: Path, model: str) -> None:
    """The fit, the figures and least squares are those of the same rows moved to zero."""
    from src.runs.evaluate import evaluate
    from src.runs.predict import predict

    path = tmp_path / "rows.csv"
    far_rows(path)
    data = (
        "data=csv",
        f"data.path={path}",
        "data.target=y",
        "data.val_fraction=0",
        "data.test_fraction=0.2",
        "callbacks=default",
    )
    options = (f"model={model}", "data.standardize=true", "optimizer.lr=0.1", "trainer.max_epochs=100")
    summary = trained(tmp_path / "run", *data, *options)
    assert 20 < summary["reference"]["mse"] < 30
    assert 20 < summary["metrics"]["train/mse"] < 30
    assert 0 < summary["metrics"]["train/r2"] < 0.6
    assert summary["reference"]["slope/a"] == pytest.approx(3, abs=1)
    assert summary["reference"]["slope/b"] == pytest.approx(2, abs=1)
    assert evaluate(str(tmp_path / "run"), "best") == summary["metrics"]
    rows = sources.csv(str(path), "y", None, np.float32)
    pairs = np.loadtxt(predict(str(tmp_path / "run"), str(path), None, "best"), delimiter=",", skiprows=1)
    assert np.mean((pairs[:, 3] - rows.target[:, 0]) ** 2) < 30
    (tmp_path / "one.csv").write_text("\n".join(path.read_text().splitlines()[:2]))
    alone = np.loadtxt(
        predict(str(tmp_path / "run"), str(tmp_path / "one.csv"), None, "best"), delimiter=",", skiprows=1
    )
    assert alone[3] == pytest.approx(pairs[0, 3], abs=1e-4)


def test_features_stay_in_float32_where_it_holds_them(tmp_path: Path) -> None:
    """A float64 matrix of what needs none would be twice the memory."""
    path = tmp_path / "rows.csv"
    years = "year,constant,kelvin,share,y\n" + "".join(f"{1950 + i},0.1,{280.15 + i},{i / 70},1\n" for i in range(70))
    path.write_text(years)
    rows = sources.csv(str(path), "y", None, np.float32)
    assert (rows.features.dtype, rows.target.dtype) == (np.float32, np.float64)
    far_rows(path)
    assert sources.csv(str(path), "y", ["a"], np.float32).features.dtype == np.float32
    assert sources.csv(str(path), "y", ["b"], np.float32).features.dtype == np.float64
    assert sources.csv(str(path), "y", ["a"], np.float64).features.dtype == np.float64


def test_a_straight_line_on_raw_values_is_held_against_the_unrounded_target(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    far_rows(path)
    data = (
        "data=csv",
        f"data.path={path}",
        "data.target=y",
        "data.val_fraction=0",
        "data.test_fraction=0",
        "callbacks=default",
    )
    start = (
        "model=linear",
        "optimizer=sgd",
        "data.features=[a]",
        "model.init.weight=0",
        "model.init.bias=1000000000",
        "optimizer.lr=1e-30",
    )
    summary = trained(tmp_path / "run", *data, *start, "trainer.max_epochs=1")
    target = np.loadtxt(path, delimiter=",", skiprows=1)[:, 2]
    assert summary["metrics"]["train/mse"] == pytest.approx(np.mean((target - 1e9) ** 2), rel=1e-9)


def test_a_constant_column_stays_finite() -> None:
    rows = table(10)
    rows.features[:, 0] = 3.3
    features, _ = Encoder.fit(rows, np.arange(10), *STANDARD).encode_rows(rows, np.arange(10))
    assert torch.isfinite(features).all()
    assert features[:, 0].abs().max() < 1e-5


def test_the_encoder_sees_training_rows_only() -> None:
    rows = table(100)
    rows.features[:] = np.arange(100, dtype=np.float32)[:, None]
    data = Partition(rows, 0.3, 0.2, *STANDARD, seed=1)
    assert data.encoder.numbers.shift[0] == pytest.approx(data.rows["train"].mean())
    assert data.encoder.numbers.shift[0] != pytest.approx(rows.features.mean())


def test_splits_share_no_row_and_lose_none() -> None:
    parts = split(table(100), 0.15, 0.25, seed=3)
    assert [len(part) for part in parts] == [60, 15, 25]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert any(not np.array_equal(a, b) for a, b in zip(parts, split(table(100), 0.15, 0.25, seed=4), strict=True))


def test_row_order_is_a_permutation_that_seed_and_epoch_decide() -> None:
    orders = {tuple(row_order(50, seed, epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert torch.equal(row_order(50, 1, 2), row_order(50, 1, 2))


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("span", [True, False])
@pytest.mark.parametrize("max_steps", [-1, 1, 8, 9])
def test_executions_cut_every_epoch_into_the_same_batches(steps: int, span: bool, max_steps: int) -> None:
    sampler = Executions(10, 3, steps, span, max_epochs=5, max_steps=max_steps)
    seen: list[tuple[int, int]] = []
    epoch = 0
    while epoch < 5 and (max_steps == -1 or len(seen) < max_steps):
        sampler.set_epoch(epoch)
        for stretches in sampler:
            for stretch in stretches:
                seen += [(stretch.epoch, start) for start in range(stretch.start, stretch.stop, 3)]
        epoch = seen[-1][0] + 1
    wanted = [(epoch, start) for epoch in range(5) for start in range(0, 10, 3)]
    assert seen == (wanted if max_steps == -1 else wanted[:max_steps])
