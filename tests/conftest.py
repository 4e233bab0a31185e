"""Fixtures that tests of several rooms take."""

from tests.commands import call

__all__ = ["call"]
