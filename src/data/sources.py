"""Where rows come from. Each source is a function of plain values that returns a Table."""

import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from src.data.reader import read_header, read_rows
from src.data.table import Table
from src.errors import UserError, nearest

log = logging.getLogger(__name__)


def csv(path: str, target: str, features: list[str] | None, dtype: DTypeLike) -> Table:
    """Numeric columns of a CSV file; ``features=None`` takes every column but the target.

    Raises:
        UserError: the file or one of the columns does not fit; the message names which and where.
    """
    file = Path(path)
    header = read_header(file)
    if len(header) == 1:
        raise UserError(f"{file}: is not a table (one column, {header[0][:60]!r}), expected features and a target")
    if target not in header:
        raise UserError(f"{file}: has no target column {target!r}{nearest(target, header)}")
    names = [name for name in header if name != target] if features is None else list(features)
    if not names:
        raise UserError("data.features is empty, expected at least one column")
    if target in names:
        raise UserError(f"data.features holds the target {target!r}, expected other columns only")
    if len(set(names)) < len(names):
        raise UserError(f"data.features names a column twice: {', '.join(names)}")
    before = file.stat()
    try:
        numbers, wanted = read_rows(file, names, target, dtype)
    except UserError as error:
        if features is None and "found the text" in str(error):
            raise UserError(f"{error}; data.features=[…] takes only the columns it lists") from None
        raise
    return Table(numbers, wanted, names, target, str(file), sha256_in_background(file, before), dtype)


def cars(target: str, features: list[str] | None, dtype: DTypeLike) -> Table:
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
        UserError: ``kind`` is neither.
    """
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


def sha256_in_background(path: Path, since: os.stat_result) -> Callable[[], str]:
    """Starts to hash a file that was just read; the function that comes back waits for the hexadecimal digest.

    Hashing costs about as much as parsing, and nobody needs it before the run's summary. Where the file is no longer
    as it was ``since`` before it was read, a warning is logged.
    """
    file = path.open("rb")  # now, whatever becomes of the name

    def digest() -> str:
        with file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            now = os.fstat(file.fileno())
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (since.st_ino, since.st_size, since.st_mtime_ns):
            log.warning("%s changed while it was read; its SHA-256 may be that of other rows", path)
        return found

    thread = ThreadPoolExecutor(1)
    result = thread.submit(digest).result
    thread.shutdown(wait=False)
    return result
