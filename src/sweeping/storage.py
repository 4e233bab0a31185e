"""Where a study is kept: a journal file beside the sweep, or any Optuna storage URL.

The journal is the default because two processes that write at once put 350 to 1,190 trials a second into it
and 29 to 34 into SQLite, which syncs several times a trial (``python -m tests.benchmarks.sweeping``, 200
trials, 2 cores). It also needs no server, and a kill tears at most its last line.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import ListConfig

from src.errors import UserError, first_line
from src.secrets import masked_text

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "study.journal"


def directions_of(sweeper: Any) -> list[str]:
    """What a sweeper's configuration says of each objective, minimize or maximize; [] where it says nothing."""
    given = sweeper.get("direction")
    items = given if isinstance(given, (list, ListConfig)) else [] if given is None else [given]
    return [str(item).rpartition(".")[2] for item in items]


def location(storage: str | None, folder: Path) -> str:
    """The URL or the absolute path of a study's storage; by default a journal in the sweep folder."""
    if not storage:
        return str((folder / JOURNAL).absolute())
    if "://" not in storage:
        return str(Path(storage).expanduser().absolute())
    # SQLAlchemy's default driver for the bare name is the one that is no longer developed.
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", storage)


def is_file(where: str) -> bool:
    """Whether a storage is a journal file, and not a database."""
    return "://" not in where


def shown(where: str) -> str:
    """A storage as it may be printed: without its password."""
    return masked_text(where)


def open_storage(where: str) -> "BaseStorage":
    """Opens a storage once in a process.

    Raises:
        UserError: there is no such database, it refuses us, or the file is no study.
    """
    return _open(where, os.getpid())


@cache
def _open(where: str, process: int) -> "BaseStorage":  # by process, because a forked one may not share it
    with explained(where):
        if is_file(where):
            from optuna.storages import JournalStorage

            from src.sweeping.journal import SafeJournal

            path = Path(where)
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(SafeJournal(path))
        from optuna.storages import RDBStorage, get_storage

        # Several processes may write: a SQLite writer waits for the others rather than failing.
        options = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {"pool_pre_ping": True}
        return get_storage(RDBStorage(where, engine_kwargs=options))


def forget() -> None:
    """Closes what this process has open; after a study file was moved."""
    _open.cache_clear()


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns whatever a storage may raise into one line that says which storage and why."""
    import json

    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        extra = "; pip install 'plumbline[postgres]'" if "psycopg" in str(error) else ""
        raise UserError(f"hydra.sweeper.storage={shown(where)} needs the package {error.name}{extra}") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{shown(where)}: is not an Optuna journal: a line begins {error.doc[:30]!r}") from error
    except (SQLAlchemyError, StorageInternalError, OSError) as error:
        cause: BaseException = error
        while inner := isinstance(cause, (SQLAlchemyError, StorageInternalError)) and (
            getattr(cause, "orig", None) or cause.__cause__
        ):
            cause = inner
        said = f"{type(cause).__name__}: {first_line(cause)}"
        raise UserError(f"the study at {shown(where)} cannot be used: {said}") from error
    except (KeyError, ValueError, TypeError, AssertionError) as error:
        raise UserError(
            f"{shown(where)}: is not a study that Optuna can read ({type(error).__name__}: {first_line(error)})"
        ) from error
