"""Bars on a terminal: one for a sweep, one for the run in it."""

import sys
from typing import Any


class Bar:
    """A bar of Rich's on standard error; that of a run stands below its sweep's, and lines of a log above both.

    Args:
        what: it counts.
        total: of that; None where nobody knows.
        done: of that before.
    """

    _display: Any = None

    def __init__(self, what: str, total: int | None, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if Bar._display is None:
            Bar._display = Progress(
                *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
                TextColumn("{task.fields[figures]}"),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # what goes to a file stays out of Rich's hands
            )
            Bar._display.start()
        self._task = Bar._display.add_task(what, total=total, completed=done, figures="")

    def show(self, done: int, figures: str = "") -> None:
        """How much is done by now, and what came of it."""
        Bar._display.update(self._task, completed=done, figures=figures)

    def close(self) -> None:
        """Takes the bar away."""
        Bar._display.remove_task(self._task)
        if not Bar._display.tasks:
            Bar._display.stop()
            Bar._display = None
