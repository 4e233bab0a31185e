"""The SHA-256 of a file, computed while other things go on."""

import hashlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path

log = logging.getLogger(__name__)


def sha256_in_background(path: Path, since: os.stat_result) -> Callable[[], str]:
    """Starts to hash; the function that comes back waits for the hexadecimal digest.

    Hashing costs about as much as parsing, and nobody needs it before the run's summary.

    Args:
        path: the file, just read.
        since: its state before it was read; where it has changed, a warning is logged.
    """
    file = path.open("rb")  # now, whatever becomes of the name
    pool = ThreadPoolExecutor(1)
    digest = pool.submit(_sha256, file, path, since)
    pool.shutdown(wait=False)
    return digest.result


def _sha256(file: BufferedReader, path: Path, since: os.stat_result) -> str:
    if sys.platform == "linux":
        # This thread only: training, whose threads wait for each other, goes first.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    with file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        now = os.fstat(file.fileno())
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (since.st_ino, since.st_size, since.st_mtime_ns):
        log.warning("%s changed while it was read; its SHA-256 may be that of other rows", path)
    return digest
