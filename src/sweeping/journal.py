"""Optuna's journal file, made to stand a SIGKILL in the middle of a write and a full disk."""

import json
import os
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from src.adapters.optuna_internals import ends_a_trial
from src.runs.lock import locked

_START = b'{"op_code":'


class SafeJournal(JournalFileBackend):
    """A journal whose last line may be torn: the next writer takes away what was never wholly written.

    In Optuna's own backend the next record would be glued to the torn one and the whole study lost.

    Args:
        path: the journal; created where it is missing.

    Raises:
        ValueError: the file is something else; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            with path.open("rb") as file:
                start = file.readline(len(_START))
            if not (start.startswith(_START) or _START.startswith(start)):
                raise ValueError("it does not begin as a journal does")
        super().__init__(str(path))
        self.path = path
        self.lock = path.with_name(path.name + ".lock")
        with locked(self.lock), path.open("r+b") as file:
            _mend(file)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds records, all or none; a trial's end, and all before it, outlives a power cut from here on.

        What else a power cut may take belongs to trials that had not ended, and to sync each record would
        cost more than all the rest of a trial.

        Raises:
            OSError: the disk is full or the file cannot be written; it is as it was before.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        with locked(self.lock), self.path.open("r+b", buffering=0) as file:
            end = _mend(file)
            try:
                written = 0
                while written < len(text):
                    written += file.write(text[written:])
                if any(ends_a_trial(log) for log in logs):
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise


def _mend(file: Any) -> int:
    """Cuts off a torn last line; where the next one starts."""
    end: int = file.seek(0, os.SEEK_END)
    if not end:
        return 0
    with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        whole = content.rfind(b"\n") + 1
    if whole != end:
        file.truncate(whole)
    return file.seek(whole)
