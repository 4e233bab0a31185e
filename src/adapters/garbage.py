"""Python's garbage collector while a command starts: imports leave hundreds of thousands of objects, and all stay.

By its usual thresholds it goes through them again and again, a fifth of the time of a short command.
"""

import gc

_USUAL = gc.get_threshold()
_STARTING = (100_000, 20, 100)


def seldom() -> None:
    """Has it come seldom until ``as_ever``; for a process of our own."""
    gc.set_threshold(*_STARTING)


def as_ever() -> None:
    """Has it come as ever, and leave what is there alone; where it was not to come seldom, nothing changes."""
    if gc.get_threshold() == _STARTING:
        gc.freeze()
        gc.set_threshold(*_USUAL)
