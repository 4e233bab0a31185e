"""Hydra's way with errors, written for hydra-core 1.4: it prints them at length and exits with 1.

``hydra.main`` offers no other way: ``HYDRA_FULL_ERROR=1`` raises them, but to launchers' workers and to us it means
that a traceback is wanted.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal import utils
from hydra.core.utils import JobReturn, JobStatus


@contextmanager
def raised(translate: Callable[[Exception], Exception | None]) -> Iterator[None]:
    """Errors of Hydra's and of its jobs are raised as ``translate`` gives them; where it gives none, Hydra reports."""
    hydra: Any = utils
    job_return: Any = JobReturn
    report, shown = hydra.run_and_report, job_return.return_value

    def raise_translated(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            if told := translate(error):
                raise told from error
            return report(_raises(error))

    def value(job: JobReturn) -> Any:
        """Hydra's own, but for the line "Error executing job with overrides" above an error that is a line itself."""
        error = job._return_value
        if job.status == JobStatus.FAILED and isinstance(error, Exception) and translate(error):
            raise error
        return shown.fget(job)

    hydra.run_and_report, job_return.return_value = raise_translated, property(value, shown.fset)
    try:
        yield
    finally:
        hydra.run_and_report, job_return.return_value = report, shown


def _raises(error: Exception) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function
