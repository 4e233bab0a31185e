"""Fixtures that tests of several rooms take."""

import signal

from tests.commands import call

__all__ = ["call"]

# What runs in the background or under nohup ignores these, and so would every process that a test starts and ends.
for each, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(each) == signal.SIG_IGN:
        signal.signal(each, handler)
