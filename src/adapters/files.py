"""Files that are whole whenever somebody looks: written to the side, flushed, renamed."""

import os
import re
from contextlib import suppress
from pathlib import Path

_PARTIAL = re.compile(r".+\.(\d+)\.partial")  # the number is that of the process that writes


def replace(path: Path, data: "bytes | memoryview", durable: bool = True, keep: Path | None = None) -> None:
    """Writes a file in one step: whoever reads it, after whatever kill, sees the old one or the new one.

    Args:
        path: the file, in a folder that exists.
        data: all of it.
        durable: whether it outlives a power cut from here on; that takes a few milliseconds.
        keep: where the old file stays, if there is one.

    Raises:
        OSError: it cannot be written; an old file at ``path`` is as it was.
    """
    # A name of its own: two processes that share a sweep write its report at the same moment.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)  # a link that somebody put there is not followed
        with partial.open("xb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if keep is not None and path.exists():
            _link(path, keep)
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk has no name for what it is full of
            error.filename = str(path)
        raise
    if durable:
        _flush_names(path.parent)


def remove_partial(folder: Path) -> None:
    """Removes what killed processes did not finish writing; not what a process that lives is about to rename."""
    for path in folder.glob("*.partial"):
        named = _PARTIAL.fullmatch(path.name)
        if named and not path.is_symlink() and not _lives(int(named[1])):
            with suppress(OSError):
                path.unlink()


def _link(path: Path, other: Path) -> None:
    """Gives a file a second name, in one step; ``path`` is never missing where the file system has links."""
    side = other.with_name(f"{other.name}.{os.getpid()}.partial")
    side.unlink(missing_ok=True)
    try:
        os.link(path, side)
    except OSError:
        os.replace(path, other)
    else:
        os.replace(side, other)
        side.unlink(missing_ok=True)  # which stays where both are names of one file already, as a kill may leave them


def _flush_names(folder: Path) -> None:
    with suppress(OSError, AttributeError):  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False  # who asks is not writing
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
