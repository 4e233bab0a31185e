"""Which log lines are heard, for as long as a run takes: the logging of the program around it stays as it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf


@contextmanager
def logged(hydra: Any, verbose: bool) -> Iterator[None]:
    """Lines of ours go to the run's log file, as ``hydra.job_logging`` has it, and to whoever should see them.

    Args:
        hydra: the node of that name.
        verbose: whether to print what the program's own logging would not show.
    """
    ours = logging.getLogger("src")
    handlers: list[logging.Handler] = [_Onward(verbose)]
    before = ours.level, ours.propagate
    settings = OmegaConf.select(hydra, "job_logging.handlers.file")
    if settings is not None and OmegaConf.select(hydra, "job_logging.root") is not None:
        file = logging.FileHandler(Path(settings.filename), encoding="utf-8", delay=True)
        form = OmegaConf.select(hydra, f"job_logging.formatters.{settings.get('formatter')}.format")
        file.setFormatter(logging.Formatter(form))
        handlers.append(file)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    for handler in handlers:
        ours.addHandler(handler)
    try:
        yield
    finally:
        ours.propagate = before[1]
        ours.setLevel(before[0])
        for handler in handlers:
            ours.removeHandler(handler)
            handler.close()


@contextmanager
def hushed(*names: str) -> Iterator[None]:
    """These loggers say nothing but warnings and worse."""
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class _Onward(logging.Handler):
    """Hands a record to the program's own logging where that shows records of its level, and prints it elsewhere."""

    def __init__(self, verbose: bool) -> None:
        super().__init__()
        self.verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        """See the class."""
        root = logging.getLogger()
        if root.handlers and record.levelno >= root.level:
            root.callHandlers(record)
        elif self.verbose or record.levelno >= logging.WARNING:
            print(record.getMessage())
