"""``python -m tests.benchmarks.large``: ten million rows of ten numbers in Parquet, trained on in memory and on disk.

Prints the most memory that each training took, what its file weighs, and the seconds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

_GROUP = 100_000
_ON_DISK = "import src.data.matrix as matrix; matrix.available = lambda: 0; "
_TRAIN = "import sys, runpy; sys.argv = ['train', *sys.argv[1:]]; runpy.run_module('src.train', run_name='__main__')"


def write(path: Path, rows: int, columns: int) -> None:
    """A table whose target is a straight line and noise."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=columns)
    schema = pa.schema([(f"x{place}", pa.float64()) for place in range(columns)] + [("y", pa.float64())])
    with parquet.ParquetWriter(path, schema) as file:
        for _ in range(rows // _GROUP):
            features = generator.normal(size=(_GROUP, columns))
            target = features @ weights + generator.normal(size=_GROUP)
            file.write_table(pa.table([*features.T, target], schema=schema), row_group_size=_GROUP)


def main() -> None:
    """Writes the table to a temporary folder and trains an epoch of it, twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        write(table, arguments.rows, arguments.columns)
        print(f"{arguments.rows:,} rows of {arguments.columns}: {table.stat().st_size / 2**30:.2f} GiB of Parquet")
        run = ["data=csv", f"data.path={table}", "data.target=y", "data.batch_size=4096", "trainer.max_epochs=1"]
        for name, before in {"in memory": "", "on disk": _ON_DISK}.items():
            started = time.perf_counter()
            place = f"hydra.run.dir={folder}/{name.replace(' ', '-')}"
            child = subprocess.Popen([sys.executable, "-c", before + _TRAIN, *run, place], stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            if status:
                sys.exit(f"{name}: failed")
            print(f"{name}: at most {used.ru_maxrss / 2**20:.2f} GiB, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
