"""How far exported files are from the runs they come from, on real tables: python -m tests.benchmarks.export.

Each table of ``tests.benchmarks.tables`` is learned for a few epochs, in folds, and exported as ONNX. What the file
predicts from the cells of a CSV file is held against ``predict``: on the table's own rows, and on as many in which an
eighth of the cells were emptied, where the run takes gaps, and an eighth of the words are ones that nobody has met.
"""

import argparse
import json
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pandas as pd

from src.exporting.export import export
from src.runs.predict import predict
from tests.benchmarks.tables import ALL, RealTable
from tests.compose import trained
from tests.exporting.rows import by_onnx


def altered(rows: Path, columns: list[dict[str, object]]) -> Path:
    """The rows with empty cells and unknown words, beside."""
    frame = pd.read_csv(rows, dtype=str, keep_default_na=False)
    generator = np.random.default_rng(0)
    for column in columns:
        chance = generator.random(len(frame))
        name = str(column["name"])
        if column["kind"] == "category":
            frame.loc[chance > 7 / 8, name] = "a word that nobody has met"
        if column["kind"] == "category" or column["gaps"]:
            frame.loc[chance < 1 / 8, name] = ""
    path = rows.with_name("altered.csv")
    frame.to_csv(path, index=False)
    return path


def difference(model: Path, run: Path, rows: Path, target: str, spread: float) -> tuple[float, float]:
    """The largest relative to a prediction's size or the target's deviation, and microseconds a row in onnxruntime."""
    with redirect_stdout(StringIO()):
        path = predict(str(run), str(rows), str(run / "predicted.csv"), "best")
    name = f"{target}_predicted"
    own = pd.read_csv(path, usecols=[name], float_precision="round_trip")[name].to_numpy()
    start = time.perf_counter()
    found = by_onnx(model, rows)[name]
    seconds = time.perf_counter() - start
    assert np.isfinite(own).all(), f"{rows}: a prediction is no number"
    return float((np.abs(found - own) / np.maximum(np.abs(own), spread)).max()), seconds / len(own) * 1e6


def measure(table: RealTable, epochs: int, folds: int, folder: Path) -> str:
    """A row of the printed table."""
    frame = table.frame()
    rows = table.write(folder / "rows.csv")
    asked = ["data=csv", f"data.path={rows}", f"data.target='{table.target}'", f"folds={folds}", "logger=none"]
    trained(folder / "run", *asked, f"trainer.max_epochs={epochs}")
    start = time.perf_counter()
    with redirect_stdout(StringIO()):
        model, _ = export(str(folder / "run"), "best", "onnx", None)
    seconds = time.perf_counter() - start
    metadata = {each.key: each.value for each in onnx.load(str(model)).metadata_props}
    columns = json.loads(metadata["columns"])
    kinds = ", ".join(sorted({each["kind"] for each in columns}))
    spread = float(frame[table.target].std(ddof=0))
    own, micros = difference(model, folder / "run", rows, table.target, spread)
    other, _ = difference(model, folder / "run", altered(rows, columns), table.target, spread)
    size = f"{len(frame):,} × {len(columns)}"
    weight = model.stat().st_size / 1e6
    return (
        f"| {table.name} | {size} | {kinds} | {own:.1e} | {other:.1e} | {weight:.2f} | {micros:.0f} | {seconds:.1f} |"
    )


def main() -> None:
    """Prints a row for each table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.export")
    parser.add_argument("--table", choices=[table.name for table in ALL], action="append", help="may be given again")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--folds", type=int, default=2)
    arguments = parser.parse_args()
    heads = ("table", "rows × columns", "kinds", "own rows", "altered rows", "MB", "µs a row", "s to export")
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for table in ALL:
        if table.name in (arguments.table or [each.name for each in ALL]):
            with TemporaryDirectory() as folder:
                print(measure(table, arguments.epochs, arguments.folds, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
