"""Fixtures that tests of several rooms take."""

import signal

from tests.commands import call

__all__ = ["call"]

# What runs in the background or under nohup ignores these, and so would every process that a test starts and ends.
for each in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(each) == signal.SIG_IGN:
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
