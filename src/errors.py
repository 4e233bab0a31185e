"""The mistakes that a user can mend, told apart from our own."""


class UserError(ValueError):
    """A mistake in an override, a file or a folder: printed as it stands, without a traceback."""


class NothingLeft(UserError):
    """What was asked for is done already: to a single run no mistake."""


def nearest(word: str, choices: list[str]) -> str:
    """A hint such as ``; did you mean 'wt'?``, or the first choices where none is near."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), [choice.lower() for choice in choices], n=1)
    if close:
        return f"; did you mean {next(c for c in choices if c.lower() == close[0])!r}?"
    listed = ", ".join(choices[:12]) + (", …" if len(choices) > 12 else "")
    return f"; there are: {listed}"
