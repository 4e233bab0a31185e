"""Paths and files of runs: how they are said, written in one step, and taken away again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL
from pathlib import Path

from src.adapters.files import replace


def shown_path(path: Path) -> Path:
    """A path as short as it can be said from the current folder."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def read_file(path: Path) -> bytes:
    """The content of a file in a folder that may be anybody's.

    Raises:
        OSError: it cannot be read, or is no regular file: a pipe would wait for ever, a device never end.
    """
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "is no regular file", str(path))
    return path.read_bytes()


def write_text(path: Path, text: str, durable: bool = False) -> None:
    """Writes a file in one atomic step; for ``durable`` see ``replace``."""
    replace(path, text.encode(), durable)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of ``path`` in the end, or is gone, with the folders made for it.

    What is no ordinary file, a pipe say, is written itself.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    path = path.resolve()  # a link stays one
    made = [folder for folder in path.parents if not folder.exists()]
    # A name of its own: two processes that share a sweep write its report at the same moment.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)  # a link, say
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # somebody else's by now
                folder.rmdir()
        raise


def remove_empty(folder: Path) -> None:
    """Removes a folder and those around it, up to the current one or to one that holds something."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if path == Path.cwd() or path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
            break
        if path.is_dir():
            path.rmdir()
