"""The SHA-256 of a file, computed while other things go on."""

import hashlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_CHUNK = 1 << 20  # bytes hashed at a time: half a millisecond, for which whoever needs the digest may have to wait


def sha256_in_background(path: Path, since: os.stat_result) -> Callable[[], str]:
    """Starts to hash; the function that comes back gives the hexadecimal digest.

    Hashing costs about as much as parsing, and nobody needs it before the run's summary.

    Args:
        path: the file, just read.
        since: its state before it was read; where it has changed, a warning is logged.
    """
    digest = _Digest(path, since)
    threading.Thread(target=digest.work, name=f"sha256 {path.name}", daemon=True).start()
    return digest.take


class _Digest:
    """A digest that one thread begins, at the lowest priority, and another takes over where it got to.

    On a busy machine a thread of low priority hardly runs; to wait for it cost seconds.
    """

    def __init__(self, path: Path, since: os.stat_result) -> None:
        self._path, self._since = path, since
        self._file = path.open("rb", buffering=0)  # now, whatever becomes of the name
        self._sha, self._buffer = hashlib.sha256(), bytearray(_CHUNK)
        self._lock = threading.Lock()
        self._wanted = False
        self._hex: str | None = None

    def work(self) -> None:
        """Hashes until the end, or until somebody waits."""
        if sys.platform == "linux":
            # This thread only: training, whose threads wait for each other, goes first.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        with suppress(OSError):  # whoever takes the digest meets it too
            while not self._wanted and self._step() is None:
                pass

    def take(self) -> str:
        """The hexadecimal digest; hashes what is left."""
        self._wanted = True
        while (found := self._step()) is None:
            pass
        return found

    def _step(self) -> str | None:
        """One chunk further; the digest at the end."""
        with self._lock:
            if self._hex is not None:
                return self._hex
            if count := self._file.readinto(self._buffer):
                self._sha.update(memoryview(self._buffer)[:count])
                return None
            now = os.fstat(self._file.fileno())
            self._file.close()
            self._hex = self._sha.hexdigest()
        since = self._since
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (since.st_ino, since.st_size, since.st_mtime_ns):
            log.warning("%s changed while it was read; its SHA-256 may be that of other rows", self._path)
        return self._hex
