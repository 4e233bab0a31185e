"""metrics.csv holds the numbers that were written, in few digits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.runs.folder import RunFolder
from src.runs.metrics_file import append, read

NAN = float("nan")


def test_the_text(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    columns = {
        "epoch": np.array([1, 2, 3]),
        "train/loss": np.array([0.1, NAN, np.inf], np.float32),
        "lr": np.array([0.1, 1 / 3, 1e-300]),
        "val/mse": np.array([NAN, 1e16, NAN]),
        'odd, "name"': np.array([-0.0, 5.0, NAN]),
    }
    append(path, columns, sparse=["val/mse"])
    assert path.read_text() == (
        'epoch,train/loss,lr,val/mse,"odd, ""name"""\n'
        "1,0.1,0.1,,-0\n"
        "2,nan,0.3333333333333333,1e+16,5\n"
        "3,inf,1e-300,,nan\n"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_comes_back_in_its_own_precision(dtype: type, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    # Any bits at all: denormals, infinities and nan among them.
    bits = random.integers(0, 256, 4000 * np.dtype(dtype).itemsize).astype(np.uint8)
    values = np.concatenate([bits.view(dtype), np.array([0.1, -0.0, np.inf, -np.inf, NAN, 1e-5, 1e16], dtype)])
    strided = np.stack([values, values], axis=1)[:, 1]
    append(tmp_path / "m.csv", {"a": values, "b": strided}, sparse=["b"])
    found = read(tmp_path / "m.csv")
    for name in ("a", "b"):
        assert np.array_equal(np.array(found[name]).astype(dtype), values, equal_nan=True)


def test_a_file_grows_by_chunks_under_one_header(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    columns = {"epoch": np.arange(1, 8), "val/mse": np.array([NAN, NAN, 2, NAN, NAN, 1, NAN], np.float32)}
    append(path, columns, ["val/mse"])
    whole = path.read_bytes()
    path.unlink()
    for chunk in (slice(0, 0), slice(0, 2), slice(2, 7)):
        append(path, {name: values[chunk] for name, values in columns.items()}, {"val/mse"})
    assert path.read_bytes() == whole


def test_it_is_read_as_the_run_folder_reads_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    loss, figure = np.array([1e-05, NAN, float("-inf")]), np.array([0.5, NAN, NAN])
    folder.append_metrics({"epoch": np.array([1, 2, 3]), "loss": loss, "val/mse": figure})
    assert repr(read(folder.metrics)) == repr(folder.read_metrics())
    append(folder.metrics, {"epoch": np.array([4]), "loss": np.array([0.1]), "val/mse": np.array([NAN])}, ["val/mse"])
    assert repr(read(folder.metrics)) == repr(folder.read_metrics())


def test_files_without_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "none.csv") == {}
    (tmp_path / "empty.csv").touch()
    assert read(tmp_path / "empty.csv") == {}
    append(tmp_path / "head.csv", {"epoch": np.array([], np.int64), "loss": np.array([])})
    assert read(tmp_path / "head.csv") == {"epoch": [], "loss": []}


@pytest.mark.parametrize("row", ["1,word", "1", "1,2,3"])
def test_what_is_no_table_of_numbers_is_refused(row: str, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"epoch,loss\n0,0.5\n{row}\n")
    with pytest.raises(ValueError, match="CSV"):
        read(tmp_path / "m.csv")


def test_columns_of_different_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="length"):
        append(tmp_path / "m.csv", {"epoch": np.arange(3), "loss": np.zeros(2)})
    assert not (tmp_path / "m.csv").exists()


def test_pandas_is_not_imported(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, pathlib; from src.runs.metrics_file import append, read; p = pathlib.Path(sys.argv[1]);"
        "append(p, {'a': numpy.array([1.0, numpy.nan])}, ['a']); read(p); sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m.csv")], check=True, cwd=Path(__file__).parents[2])
