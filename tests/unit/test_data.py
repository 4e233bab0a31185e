"""Reading, encoding, splitting and ordering rows."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data import reader, sources
from src.data.digest import sha256_in_background
from src.data.encoder import Encoder
from src.data.executions import Executions
from src.data.order import row_order, split
from src.data.partition import Partition
from src.data.table import Table


def table(rows: int, features: int = 2, offset: float = 0.0) -> Table:
    generator = np.random.default_rng(0)
    matrix = (offset + generator.normal(size=(rows, features))).astype(np.float32)
    return Table(matrix, matrix.sum(axis=1), [f"x{i}" for i in range(features)], "y", "test", str)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_file_read_in_segments_is_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, last: bool
) -> None:
    numbers = np.random.default_rng(0).normal(size=(500, 3))
    lines = [",".join(repr(float(v)) for v in row) for row in numbers]
    lines.insert(7, "")  # a blank line is no row
    path = tmp_path / "rows.csv"
    text = "\ufeffa,b,c" + ending + ending.join(lines) + (ending if last else "")
    path.write_bytes(text.encode())
    monkeypatch.setattr(reader, "_SEGMENT", 1000)  # some fifty segments, cut within lines
    np.testing.assert_array_equal(reader.read_columns(path, ["c", "a"], np.float64), numbers[:, [2, 0]])


def test_lines_that_grow_longer_than_the_first_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_SEGMENT", 100)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "1.000000000000000,2.000000000000\n" * 10 + "1,2\n" * 300)
    assert reader.read_columns(path, ["a", "b"], np.float32).shape == (310, 2)


def test_pieces_of_blank_lines_only_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_SEGMENT", 10)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n" + "\n" * 40 + "3,4\n" + "\n" * 40)
    np.testing.assert_array_equal(reader.read_columns(path, ["a", "b"], np.float32), [[1, 2], [3, 4]])


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
    sha256_in_background(path, before)()
    assert "changed while it was read" in caplog.text


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_standardized_rows_have_mean_0_and_deviation_1_and_decode_to_themselves(offset: float) -> None:
    rows = table(70_000, offset=offset)
    encoder = Encoder.fit(rows, np.arange(len(rows)), True)
    features, target = encoder.encode_rows(rows, np.arange(len(rows)))
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.double().mean(0), torch.zeros(2).double(), atol=2e-4, rtol=0)
    torch.testing.assert_close(features.double().std(0), torch.ones(2).double(), atol=2e-4, rtol=0)
    np.testing.assert_allclose(encoder.decode(target), rows.target, rtol=1e-5, atol=1e-5)
    again = Encoder.from_state_dict(encoder.state_dict())
    np.testing.assert_array_equal(again.encode(rows.features[:9]), encoder.encode(rows.features[:9]))


def test_a_constant_column_stays_finite() -> None:
    rows = table(10)
    rows.features[:, 0] = 3.3
    features, _ = Encoder.fit(rows, np.arange(10), True).encode_rows(rows, np.arange(10))
    assert torch.isfinite(features).all()
    assert features[:, 0].abs().max() < 1e-5


def test_the_encoder_sees_training_rows_only() -> None:
    rows = table(100)
    rows.features[:] = np.arange(100, dtype=np.float32)[:, None]
    data = Partition(rows, 0.3, 0.2, True, seed=1)
    assert data.encoder.feature_shift[0] == pytest.approx(data.rows["train"].mean())
    assert data.encoder.feature_shift[0] != pytest.approx(rows.features.mean())


def test_splits_share_no_row_and_lose_none() -> None:
    parts = split(100, 0.15, 0.25, seed=3)
    assert [len(part) for part in parts] == [60, 15, 25]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert any(not np.array_equal(a, b) for a, b in zip(parts, split(100, 0.15, 0.25, seed=4), strict=True))


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
