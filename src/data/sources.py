"""Where rows come from. Each source is a function of plain values that returns a Table."""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from src.adapters.memory import check_room
from src.data.columns import GAPS, Cells
from src.data.form import Form, files
from src.data.given import Given
from src.data.reader import NoNumbers, Source, read_rows
from src.data.roles import Roles
from src.data.table import Table
from src.errors import UserError

log = logging.getLogger(__name__)


def csv(path: str, target: str | Sequence[str], features: list[str] | None, dtype: DTypeLike, **options: Any) -> Table:
    """The columns of CSV or Parquet files.

    Args:
        path: a file, or a pattern that names several.
        target, features: columns; of several targets a list.
        dtype: the run's precision.
        options: of ``Form`` (how a CSV file is written) and of ``Roles`` (what columns are); None is their default.

    Raises:
        UserError: the file or one of the columns does not fit; the message names which and where.
    """
    given = {name: value for name, value in options.items() if value is not None}
    form = Form(**{name: given.pop(name) for name in vars(Form()) if name in given})
    roles = Roles(target, features, **given)
    paths = files(path)
    before = [each.stat() for each in paths]
    source = Source(paths, form)
    names = roles.chosen(source.names, path)
    source.check([*names, *roles.keys])
    said: dict[str, Any] = {"source": path, "digest": str, "precision": dtype}
    try:
        if not roles.plain:
            raise NoNumbers
        rows = roles.of_numbers(names, *read_rows(source, names, roles.targets, dtype), **said)
    except NoNumbers:
        gaps = (*GAPS, *roles.missing)
        wanted = list(dict.fromkeys([*names, *roles.targets, *roles.keys]))
        cells = source.cells(wanted, set(wanted) - set(roles.categorical), gaps)
        reader = Cells(gaps, source.marks, largest(dtype), source.at)
        rows = roles.of_cells(names, cells, reader, **said)
    return replace(rows, digest=sha256_in_background(paths, before))


def frame(rows: Any, target: str | Sequence[str], features: list[str] | None, dtype: DTypeLike, **roles: Any) -> Table:
    """A pandas or Arrow table that is there already; ``roles`` as ``Roles`` has them.

    Raises:
        UserError: a column does not fit; the message names it, and the row.
    """
    given = Given(rows)
    asked = Roles(target, features, **roles)
    names = asked.chosen(given.names, "the table")

    def digest() -> str:
        hashed = hashlib.sha256()
        for batch in given.table.combine_chunks().to_batches():
            hashed.update(batch.serialize())
        return hashed.hexdigest()

    reader = Cells((*GAPS, *asked.missing), given.marks, largest(dtype), given.at)
    return asked.of_cells(names, given.table, reader, source="the table", digest=digest, precision=dtype)


def cars(target: str | Sequence[str], features: list[str] | None, dtype: DTypeLike) -> Table:
    """The 32 cars of Motor Trend 1974 that ship with the package."""
    table = csv(str(Path(__file__).with_name("cars.csv")), target, features, dtype)
    return replace(table, source="cars")


def synthetic(
    kind: str,
    n_samples: int,
    n_features: int,
    n_informative: int,
    bias: float,
    effective_rank: int | None,
    tail_strength: float,
    noise: float,
    shuffle_columns: bool,
    random_state: int,
    dtype: DTypeLike,
) -> Table:
    """Generated rows.

    ``kind='linear'`` is scikit-learn's ``make_regression``. ``kind='sine'`` draws x uniformly from
    [-3, 3) and sets y = 10 sin(x_1) + 10 sin(x_2) + … + noise, a curve that no straight line fits.

    Raises:
        UserError: ``kind`` is neither, or the rows do not fit into memory.
    """
    check_room(4 * 8 * n_samples * (n_features + 1), f"data.n_samples={n_samples} of data.n_features={n_features}")
    if kind == "linear":
        from sklearn.datasets import make_regression

        features, target = make_regression(
            n_samples=n_samples,
            n_features=n_features,
            n_informative=n_informative,
            bias=bias,
            effective_rank=effective_rank,
            tail_strength=tail_strength,
            noise=noise,
            shuffle=shuffle_columns,
            random_state=random_state,
        )
    elif kind == "sine":
        generator = np.random.default_rng(random_state)
        features = generator.uniform(-3, 3, (n_samples, n_features))
        target = 10 * np.sin(features).sum(axis=1) + bias + noise * generator.standard_normal(n_samples)
    else:
        raise UserError(f"data.kind must be one of linear, sine, found {kind!r}")
    names = ["x"] if n_features == 1 else [f"x{index}" for index in range(n_features)]
    digest = hashlib.sha256(features.tobytes() + target.tobytes()).hexdigest
    return Table(features.astype(dtype), target.astype(np.float64), names, "y", f"synthetic {kind}", digest, dtype)


def sha256_in_background(paths: Sequence[Path], since: Sequence[os.stat_result]) -> Callable[[], str]:
    """Starts to hash files that are being read, one after the other; what comes back waits for the hexadecimal digest.

    Hashing costs about as much as parsing, and nobody needs it before the run's summary. Where a file is no longer
    as it was ``since`` before it was read, a warning is logged.
    """
    opened = [path.open("rb") for path in paths]  # now, whatever becomes of the names

    def digest() -> str:
        hashed = hashlib.sha256()
        with ExitStack() as stack:
            for path, before, file in zip(paths, since, map(stack.enter_context, opened), strict=True):
                hashlib.file_digest(file, lambda: hashed)
                now = os.fstat(file.fileno())
                if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
                    log.warning("%s changed while it was read; its SHA-256 may be that of other rows", path)
        return hashed.hexdigest()

    thread = ThreadPoolExecutor(1)
    result = thread.submit(digest).result
    thread.shutdown(wait=False)
    return result


def largest(dtype: DTypeLike) -> float:
    return float(np.finfo(np.dtype(dtype)).max)
