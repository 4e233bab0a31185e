"""Signals that ask a process to end, and the exit code that says which it was."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
_heard: list[int] = []


def heard(number: int) -> None:
    """Notes a signal that will end the process, for its exit code."""
    _heard.append(number)


def asked() -> bool:
    """Whether a signal has been heard since ``forget``: what was in work may be over, but nothing more is to begin."""
    return bool(_heard)


def forget() -> None:
    """Has no signal be heard."""
    _heard.clear()


def exit_code() -> int:
    """128 and the signal that ended the process, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_heard[-1] if _heard else signal.SIGINT)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Has the other signals do what Ctrl-C does inside the block; one that is ignored, as under nohup, stays so."""
    forget()
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _: Any) -> None:
        heard(number)
        raise KeyboardInterrupt

    before = {each: signal.getsignal(each) for each in ENDING if each != signal.SIGINT}
    before = {each: handler for each, handler in before.items() if handler == signal.SIG_DFL}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
