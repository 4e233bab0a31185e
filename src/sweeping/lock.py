"""A lock between processes that the kernel lets go of when its holder dies."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds ``path`` alone.

    Optuna's own file locks are files that exist; one whose holder was killed blocks everybody for half a
    minute. This one is gone with the process. Where the system has no ``flock``, Optuna's serves.
    """
    if sys.platform == "win32":
        from optuna.storages.journal import JournalFileOpenLock

        lock = JournalFileOpenLock(str(path))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
        return
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file unlocks it
