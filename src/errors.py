"""The mistakes that a user can mend, told apart from our own."""

import logging
import sys
from contextvars import ContextVar
from typing import NoReturn
from unicodedata import category

from src.secrets import masked_text

# Whether whoever catches ``Refused`` says what was wrong.
HEARD: ContextVar[bool] = ContextVar("HEARD", default=False)


class UserError(ValueError):
    """A mistake in an override, a file or a folder: printed as it stands, without a traceback."""


class NothingLeft(UserError):
    """What was asked for is done already: to a single run no mistake."""


class Refused(SystemExit):
    """The end of a process after a mistake, ``error``: exit code 2."""

    def __init__(self, error: UserError | str) -> None:
        super().__init__(2)
        self.error = error


def nearest(word: str, choices: list[str]) -> str:
    """A hint such as ``; did you mean 'wt'? There are: wt, hp``: the nearest choice, and the first ones."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), [choice.lower() for choice in choices], n=1)
    listed = ", ".join(choices[:12]) + (", …" if len(choices) > 12 else "")
    if close:
        return f"; did you mean {next(c for c in choices if c.lower() == close[0])!r}? There are: {listed}"
    return f"; there are: {listed}"


def refuse(error: UserError | str) -> NoReturn:
    """Ends the process with a line and exit code 2, where Hydra would print a traceback or a warning for any error."""
    if not HEARD.get():
        print(printable(str(error)), file=sys.stderr)
    raise Refused(error)


def printable(text: str) -> str:
    """Text for a terminal or a log: what would move a cursor, turn the writing or hide in it stands as its escape.

    Names come from tables and folders of others. Line breaks stay.
    """
    if text.isprintable():
        return text
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(
        c.encode("unicode_escape").decode() if category(c) in hidden and c not in "\n\t" else c for c in text
    )


def log_printable() -> None:
    """Has every log line of this process be ``printable`` and without secrets; again is harmless."""
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    def getMessage(self) -> str:
        return printable(masked_text(super().getMessage()))


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its name where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
