"""Fixtures that tests of several rooms take."""

import signal

from tests.commands import call

__all__ = ["call"]

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
