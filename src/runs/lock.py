"""Locks between processes that the kernel lets go of when their holder dies, and the claim to a run folder."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from src.errors import UserError
from src.runs.folder import RunFolder

LOCKS = sys.platform != "win32"  # whether the kernel lets go of a dead process's

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
        hold(file.fileno())
        yield


def hold(descriptor: int) -> None:
    """Locks a file for as long as it is open; waits for it. Where the system has no ``flock``, does nothing."""
    if sys.platform != "win32":
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def held(path: Path) -> bool | None:
    """Whether a process holds a file, or is at work in a run folder; None where there is none or none can be locked."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two who ask do not see each other
        return False
    except BlockingIOError:
        return True
    except OSError:
        return held(_beside(path)) if path.is_dir() else None
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    """What stands for a folder where folders cannot be locked."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def claimed(path: Path, named: str, again: Sequence[str] | None = None, own: bool = False) -> Iterator[None]:
    """Makes a folder, or takes an empty one, and keeps other processes out of it.

    Args:
        path: the folder of a run, or of a sweep.
        named: the folder as an error names it.
        again, own: see ``RunFolder.why_not``.

    Raises:
        UserError: it cannot be made, another process is at work in it, or it holds what is not this run's; it is left
            as it is.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{named} cannot be written: {getattr(error, 'strerror', error)}") from None
    with ExitStack() as claim:
        try:
            # The folder itself: a lock file would be one more thing in it. Windows cannot open a folder.
            if sys.platform != "win32":
                try:
                    _claim(path, os.O_RDONLY | os.O_DIRECTORY, claim)
                except (BlockingIOError, FileNotFoundError):
                    raise
                except OSError:  # NFS locks files alone; there as well, two runs never make the same new folder
                    if again is not None or own:
                        _claim(_beside(path), os.O_RDWR | os.O_CREAT, claim)
        except (BlockingIOError, FileNotFoundError):  # it is at work, or just took its folder away
            raise UserError(f"{named}: another process is at work there, choose another folder") from None
        if reason := RunFolder(path).why_not(again, own):
            raise UserError(f"{named} {reason}")
        yield


def _claim(path: Path, flags: int, claim: ExitStack) -> None:
    descriptor = os.open(path, flags)
    claim.callback(os.close, descriptor)  # which unlocks it
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
