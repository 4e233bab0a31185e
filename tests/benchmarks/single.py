"""One run against the loop that one would write by hand."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.timing import Row, in_turn

if TYPE_CHECKING:
    from torch import nn

CSV_SCRIPT = """
import sys
import pandas, torch
from torch import nn
rows = torch.tensor(pandas.read_csv(sys.argv[1], engine="pyarrow").to_numpy(), dtype=torch.float32)
rows = (rows - rows.mean(0)) / rows.std(0)
parts = torch.randperm(len(rows)).split([len(rows) * 4 // 5, len(rows) - len(rows) * 4 // 5])
(x, y), (x_val, y_val) = ((rows[part, :-1], rows[part, -1:]) for part in parts)
net, loss_of = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)), nn.MSELoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
for epoch in range(3):
    for chosen in torch.randperm(len(x)).split(1024):
        optimizer.zero_grad()
        loss = loss_of(net(x[chosen]), y[chosen])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        print(loss.item(), loss_of(net(x_val), y_val).item())
"""
_VERBS = ("load", "load and encode")
ROOT = Path(__file__).parents[2]
CARS = ROOT / "src" / "data" / "cars.csv"

PLAIN_SCRIPT = f"""
import pandas, torch
cars = pandas.read_csv({str(CARS)!r})
x = torch.tensor(cars[["wt"]].to_numpy(), dtype=torch.float32)
y = torch.tensor(cars[["mpg"]].to_numpy(), dtype=torch.float32)
net, loss_of = torch.nn.Linear(1, 1), torch.nn.MSELoss()
optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.02), []
for epoch in range(1000):
    optimizer.zero_grad()
    loss = loss_of(net(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(losses[-1], net.weight.item(), net.bias.item())
"""


def fit_cars(rounds: int, size: float) -> list[Row]:
    """cars, linear, SGD, full batch, 1,000 epochs."""
    import pandas as pd
    import torch

    from src.training.threads import threads

    epochs = max(int(1000 * size), 10)
    cars = pd.read_csv(CARS)
    x = torch.tensor(cars[["wt"]].to_numpy(), dtype=torch.float32)
    y = torch.tensor(cars[["mpg"]].to_numpy(), dtype=torch.float32)

    def raw() -> None:
        net, loss_of = torch.nn.Linear(1, 1), torch.nn.MSELoss()
        optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.02), []
        for _ in range(epochs):
            optimizer.zero_grad()
            loss = loss_of(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    ours = _fitter("model=linear", f"trainer.max_epochs={epochs}")
    raw = threads(1)(raw)  # as ours: on a busy machine a second thread would only cost the raw loop time
    what = f"fit, cars, linear, SGD, full batch, {epochs:,} epochs | raw loop"
    return [Row("fit-cars", what, *in_turn(ours, raw, rounds), 1.2, 1.0)]


def fit_mlp(rounds: int, size: float) -> list[Row]:
    """An MLP 8-64-64-1 on 4,096 rows by mini-batches, validated each epoch."""
    import torch

    from src.training.threads import threads

    rows, epochs = int(4096 * size), 24
    generator = np.random.default_rng(0)
    features = generator.standard_normal((rows + rows // 4, 8)).astype(np.float32)
    target = (np.sin(features).sum(axis=1) + 0.1 * generator.standard_normal(len(features))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = _write_csv(Path(folder) / "rows.csv", features, target)
        ours = _fitter(
            "model=mlp", "data=csv", f"data.path={path}", "data.target=y", "data.val_fraction=0.2",
            "data.test_fraction=0", "data.batch_size=32", "data.standardize=false",
            "optimizer=adam", "callbacks=default", f"trainer.max_epochs={epochs}",
        )  # fmt: skip
        x, y = torch.from_numpy(features[:rows]), torch.from_numpy(target[:rows, None])
        x_val, y_val = torch.from_numpy(features[rows:]), torch.from_numpy(target[rows:, None])

        def raw() -> None:
            net, loss_of = _mlp(8), torch.nn.MSELoss()
            optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
            losses = []
            for _ in range(epochs):
                order = torch.randperm(rows)
                xs, ys = x[order], y[order]
                for start in range(0, rows, 32):
                    optimizer.zero_grad()
                    loss = loss_of(net(xs[start : start + 32]), ys[start : start + 32])
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
                net.eval()
                with torch.no_grad():
                    losses.append(loss_of(net(x_val), y_val).item())
                net.train()

        raw = threads(1)(raw)
        what = f"fit, MLP 8-64-64-1, {rows:,} rows, batch 32, 24 epochs, validated | raw loop"
        return [Row("fit-mlp", what, *in_turn(ours, raw, rounds), 1.1, 0.9)]


def process(rounds: int, size: float) -> list[Row]:
    """From command to exit."""
    with tempfile.TemporaryDirectory() as folder:
        count = iter(range(1000))

        def ours() -> float:
            return _call("-m", "src.train", f"hydra.run.dir={folder}/{next(count)}")

        path = _write_csv(Path(folder) / "rows.csv", *_random(int(100_000 * size)))
        asked = ["data=csv", f"data.path={path}", "data.target=y", "data.val_fraction=0.2", "data.batch_size=1024"]
        asked += ["model=mlp", "optimizer=adam", "trainer.max_epochs=3"]

        def table() -> float:
            return _call("-m", "src.train", *asked, f"hydra.run.dir={folder}/{next(count)}")

        what = "process, python -m src.train | plain script: pandas, torch, the same epochs"
        of_table = f"process, {int(100_000 * size):,} × 11 of CSV, an MLP, 3 epochs | plain script: pandas, torch"
        plain, plain_table = partial(_call, "-c", PLAIN_SCRIPT), partial(_call, "-c", CSV_SCRIPT, str(path))
        return [
            Row("process", what, *in_turn(ours, plain, rounds), 1.45, 1.3),
            Row("process-csv", of_table, *in_turn(table, plain_table, rounds), 1.5, 1.3),
        ]


def busy(rounds: int, size: float) -> list[Row]:
    """A training beside two others on the same processors, against the same training by itself."""
    line = ["data=synthetic", "data.n_samples=2400", "data.n_features=18", "data.n_informative=10", "model=mlp",
            f"trainer.max_epochs={max(int(1000 * size), 1)}", "data.val_fraction=0.2"]  # fmt: skip
    program = (
        "import sys, pathlib\nfrom tests.compose import trained\n"
        "print(trained(pathlib.Path(sys.argv[1]), *sys.argv[2:])['seconds']['fit'])"
    )

    def command(folder: str, *changes: str) -> list[str]:
        return [sys.executable, "-c", program, folder, *line, *changes]

    def fitted() -> float:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(command(folder), cwd=ROOT, check=True, capture_output=True, text=True)
        return float(done.stdout.splitlines()[-1])

    def beside() -> float:
        with tempfile.TemporaryDirectory() as folder:
            endless = [command(f"{folder}/{n}", "trainer.max_epochs=1000000", f"seed={n}") for n in range(2)]
            others = [subprocess.Popen(each, cwd=ROOT, stdout=subprocess.DEVNULL) for each in endless]
            try:
                time.sleep(8)  # until both train
                return fitted()
            finally:
                for other in others:
                    other.kill()
                    other.wait()

    what = "fit of an MLP, 1,920 rows, full batch, beside two other trainings | by itself"
    return [Row("busy", what, *in_turn(beside, fitted, rounds, 0), 3.0, 2.0)]


def help_page(rounds: int, size: float) -> list[Row]:
    """What a look at the options costs."""
    ours, theirs = partial(_call, "-m", "src.train", "--help"), partial(_call, "-c", "import hydra")
    what = "process, python -m src.train --help | python -c 'import hydra'"
    return [Row("help", what, *in_turn(ours, theirs, rounds), 3.0, 2.0)]


def load(rounds: int, size: float) -> list[Row]:
    """CSV to encoded tensors; of words to the table alone as well, for pandas encodes nothing."""
    import pandas as pd

    from src.data.partition import Partition
    from src.data.sources import csv

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        counts = [int(count * size) for count in (10_000, 100_000, 1_000_000)]
        files = [
            (f"load and encode a CSV of {count:,} × 11", _write_csv(Path(folder) / f"{count}.csv", *_random(count)))
            for count in counts
        ]
        words = _write_words(Path(folder) / "words.csv", counts[1])
        files += [(f"{verb} a CSV of {counts[1]:,} × 7 of words, dates and gaps", words) for verb in _VERBS]
        for what, path in files:

            def ours(what: str = what, path: Path = path) -> float:
                start = time.perf_counter()
                table = csv(str(path), "y", None, np.float32)
                if what.startswith(_VERBS[1]):
                    Partition(table, 0.0, 0.0, "standard", "standard", 0).encoded("train")
                ready = time.perf_counter()
                assert table.sha256  # goes on in the background while a run trains; not into their turn
                return ready - start

            def theirs(path: Path = path) -> None:
                pd.read_csv(path, engine="pyarrow")

            said = f"{what} | pandas.read_csv, pyarrow engine"
            name = f"load-{path.stem}{'' if what.startswith(_VERBS[1]) else '-alone'}"
            rows.append(Row(name, said, *in_turn(ours, theirs, rounds), 2.0, 1.3))
    return rows


def epoch(rounds: int, size: float) -> list[Row]:
    """One epoch over many rows, and how its time grows with them."""
    import torch

    rows, per_row = [], {}
    for count in (int(10_000 * size), int(100_000 * size), int(1_000_000 * size)):
        features, target = _random(count)
        epochs = max(1, int(200_000 * size) // count)  # so that a short epoch is not lost in the clock
        with tempfile.TemporaryDirectory() as folder:
            path = _write_csv(Path(folder) / "rows.csv", features, target)
            ours = _fitter(
                "model=mlp", "data=csv", f"data.path={path}", "data.target=y", "data.val_fraction=0",
                "data.test_fraction=0", "data.batch_size=1024", "data.standardize=false",
                "optimizer=sgd", "callbacks=default", f"trainer.max_epochs={epochs}",
            )  # fmt: skip
            x, y = torch.from_numpy(features), torch.from_numpy(target[:, None])

            def raw(x: torch.Tensor = x, y: torch.Tensor = y, epochs: int = epochs) -> None:
                net, loss_of = _mlp(10), torch.nn.MSELoss()
                optimizer, losses = torch.optim.SGD(net.parameters(), lr=0.02), []
                for _ in range(epochs):
                    order = torch.randperm(len(x))
                    xs, ys = x[order], y[order]
                    for start in range(0, len(x), 1024):
                        optimizer.zero_grad()
                        loss = loss_of(net(xs[start : start + 1024]), ys[start : start + 1024])
                        loss.backward()
                        optimizer.step()
                        losses.append(loss.item())

            ours_times, raw_times = in_turn(ours, raw, rounds)
        what = f"fit, {epochs} epoch{'s' * (epochs > 1)} over {count:,} rows × 10, MLP, batch 1,024 | raw loop"
        rows.append(Row(f"epoch-{count}", what, ours_times, raw_times, 1.3, 1.1))
        per_row[count] = [seconds / count / epochs * 1e6 for seconds in ours_times]
    few, many = min(per_row), max(per_row)
    what = f"time per row, {many:,} rows | {few:,} rows"
    return [*rows, Row("rows", what, per_row[many], per_row[few], 1.3, 1.1, "µs")]


def categories(rounds: int, size: float) -> list[Row]:
    """Epochs of data=csv as it comes, with categories of many values, against three numbers for each of them."""
    count, columns = int(20_000 * size), 8
    generator = np.random.default_rng(0)
    words = generator.integers(0, 40, (count, columns))
    numbers = generator.standard_normal((count, 3 * columns)).astype(np.float32)
    target = np.sin(numbers[:, :4]).sum(axis=1) + words[:, :4].sum(axis=1) / 40
    with tempfile.TemporaryDirectory() as folder:
        sides = {"categories": np.char.add("w", words.astype(str)), "numbers": numbers}
        fits = {}
        for name, features in sides.items():
            # A number beside, for a table of categories alone is no usual one.
            path = _write_csv(Path(folder) / f"{name}.csv", np.column_stack([features, numbers[:, :1]]), target)
            fits[name] = _fitter(
                *("data=csv", f"data.path={path}", "data.target=y", f"data.numeric=[x{features.shape[1]}]"),
                *("callbacks=default", "trainer.max_epochs=5", "baselines=false"),
            )
        what = f"fit, 5 epochs over {count:,} rows of {columns} categories | of {3 * columns} numbers"
        return [Row("categories", what, *in_turn(fits["categories"], fits["numbers"], rounds), 1.0, 0.9)]


def folds(rounds: int, size: float) -> list[Row]:
    """Five folds of small tables against one fold alone, as data=csv comes, for the same epochs."""
    from tests.benchmarks.tables import ALL

    rows, epochs = [], max(int(40 * size), 1)
    for table in ALL:
        if table.name in ("hitters", "cars", "births"):
            with tempfile.TemporaryDirectory() as folder:
                asked = [
                    "data=csv",
                    f"data.path={table.write(Path(folder) / 'rows.csv')}",
                    f"data.target='{table.target}'",
                ]
                asked += ["callbacks=default", f"trainer.max_epochs={epochs}", "baselines=false"]
                sides = _fitter(*asked, "folds=5"), _fitter(*asked, "data.val_fraction=0.2")
                what = f"fit, {epochs} epochs of five folds of {table.name} | of one"
                rows.append(Row(f"folds-{table.name}", what, *in_turn(*sides, rounds), 2.0, 1.5))
    return rows


def memory(rounds: int, size: float) -> list[Row]:
    """Peak memory of loading, encoding and one epoch, above what the imports take."""
    count = int(1_000_000 * size)
    with tempfile.TemporaryDirectory() as folder:
        path = _write_csv(Path(folder) / "rows.csv", *_random(count))
        idle = "import re, pyarrow.csv, tests.compose, src.runs.fit, src.data.module, src.training.engine;"
        # Not getrusage: its peak includes the process that started this one.
        shown = r"print(float(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1]) / 1024)"
        work = (
            "from pathlib import Path; tests.compose.trained(Path({!r}), 'model=mlp', 'data=csv', 'data.path={}', "
            "'data.target=y', 'optimizer=sgd', 'callbacks=default', 'data.batch_size=1024', 'trainer.max_epochs=1', "
            "'callbacks.progress.every_n_epochs=9');"
        )
        peaks = [
            float(_output("-c", idle + work.format(f"{folder}/{number}", path) + shown))
            - float(_output("-c", idle + shown))
            for number in range(min(rounds, 3))
        ]
    matrix = [count * 10 * 4 / 2**20] * len(peaks)
    what = f"peak memory above the imports, {count:,} × 10 | the float32 matrix"
    return [Row("memory", what, peaks, matrix, 4.0, 2.5, "MiB")]


ROWS: dict[str, Callable[[int, float], list[Row]]] = {
    "fit-cars": fit_cars,
    "fit-mlp": fit_mlp,
    "process": process,
    "help": help_page,
    "busy": busy,
    "load": load,
    "epoch": epoch,
    "categories": categories,
    "folds": folds,
    "memory": memory,
}


def _fitter(*overrides: str) -> Callable[[], float]:
    """Trains with everything on and returns the seconds of Lightning's fit."""
    from tests.compose import trained

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return trained(Path(folder) / "run", *overrides)["seconds"]["fit"]

    return run


def _mlp(features: int) -> "nn.Module":
    from torch import nn

    return nn.Sequential(nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def _write_words(path: Path, count: int) -> Path:
    """Categories of 2, 5 and 200 values, a date, a number with gaps, another and the target."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("few,many,flag,day,gaps,number,y\n")
        for row in range(count):
            words = f"kind {draw.randrange(5)},town {draw.randrange(200)},{draw.choice(('yes', 'no'))}"
            gap = "" if row % 50 == 0 else round(draw.random(), 4)
            numbers = f"{gap},{draw.gauss(0, 1):.6f},{draw.gauss(0, 1):.6f}"
            file.write(f"{words},2020-{row % 12 + 1:02}-{row % 28 + 1:02},{numbers}\n")
    return path


def _random(rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((rows, 10), dtype=np.float32)
    return features, np.sin(features).sum(axis=1)


def _write_csv(path: Path, features: np.ndarray, target: np.ndarray) -> Path:
    import pyarrow as pa
    from pyarrow import csv

    columns = {f"x{index}": column for index, column in enumerate(features.T)} | {"y": target}
    csv.write_csv(pa.table({name: np.ascontiguousarray(column) for name, column in columns.items()}), path)
    return path


def _call(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, env=_environment())
    return time.perf_counter() - start


def _output(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
