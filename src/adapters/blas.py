"""How many threads NumPy's linear algebra uses."""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """One thread inside the block, for blocks of a few thousand rows.

    A second gains nothing there. Where another process wants its core, the two spin while they wait for each
    other: a least-squares fit of a million rows took 16 s of processor time in place of 0.06. And the sum of two
    threads' parts is another one, to the last bit, than that of four.
    """
    return _blas().limit(limits=1)


@cache
def _blas() -> ThreadpoolController:
    """Found once, which takes a millisecond; setting a limit takes ten microseconds."""
    import numpy  # noqa: F401  # whose library has to be loaded to be found

    return ThreadpoolController().select(user_api="blas")
