"""Locks between processes that the kernel lets go of when their holder dies, and the claim to a run folder."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from src.errors import UserError
from src.runs.folder import RunFolder

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file alone; waits for it, and makes it where it is missing.

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
        yield


@contextmanager
def claimed(path: Path, named: str, again: Sequence[str] | None = None) -> Iterator[None]:
    """Makes a folder, or takes an empty one, and keeps other processes out of it.

    Args:
        path: the folder of a run, or of a sweep.
        named: the folder as an error names it.
        again: see ``RunFolder.why_not``.

    Raises:
        UserError: it cannot be made, another process is at work in it, or it holds what is not this run's; it is left
            as it is.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{named} cannot be written: {getattr(error, 'strerror', error)}") from None
    with ExitStack() as held:
        try:
            # The folder itself: a lock file would be one more thing in it. Windows cannot open a folder.
            if sys.platform != "win32":
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                held.callback(os.close, descriptor)  # which unlocks it
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):  # it is at work, or just took its folder away
            raise UserError(f"{named}: another process is at work there, choose another folder") from None
        except OSError:
            pass  # NFS locks no folders; there as well, two runs never make the same new one
        if reason := RunFolder(path).why_not(again):
            raise UserError(f"{named} {reason}")
        yield
