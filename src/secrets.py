"""What no file and no line of a log shall hold: passwords, tokens, keys, and where somebody's home is.

A folder is meant to be handed on. What an override or the environment calls a secret stands in it as ``***``, the
password of a URL likewise, and the home folder as ``~``.
"""

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

HIDDEN = "***"

_WORD = r"passw(?:or)?d|passphrase|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?"
# A whole part of a key, as in db.password, WANDB_API_KEY or aws_secret_access_key; not tokenizer or n_tokens.
_KEY = re.compile(rf"(?:^|[._@/+~-])(?:{_WORD})(?:$|[._@/-])", re.I)
_URL = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/?#@:'\"]*):[^\s/?#'\"]*@", re.I)
_IN_TEXT = re.compile(
    rf"((?:^|[\s'\"?&+~,{{(])[\w.@/-]*(?<![a-z0-9])(?:{_WORD})(?![a-z0-9])[\w.@/-]*[=:])(?!\*\*\*)('[^']*'|\"[^\"]*\"|[^\s&,'\")}}\]]+)",
    re.I | re.M,
)
_HINT = re.compile(rf"{_WORD}|://[^\s/]*@", re.I)
_SHORT = 6  # characters; a value of fewer may stand anywhere by chance


def is_secret(key: str, value: Any = "") -> bool:
    """Whether a key's name says that its value is a secret; a number is none, it may count a net's tokens."""
    if value is None or isinstance(value, bool | int | float) or not _KEY.search(key):
        return False
    return not (
        isinstance(value, str) and re.fullmatch(r"|null|true|false|\?\?\?|[+-]?[\d._]+", value) and "token" in key
    )


def masked_text(text: str) -> str:
    """Text without passwords in URLs, values of ``secret=…``, values of secret environment variables, and home."""
    return _masked_text(text, _of_the_environment())


def _masked_text(text: str, hidden: Sequence[str]) -> str:
    if _HINT.search(text):
        text = _URL.sub(rf"\1:{HIDDEN}@", text)
        text = _IN_TEXT.sub(
            lambda found: found[1] + (HIDDEN if is_secret(_last(found[1]), found[2]) else found[2]), text
        )
    for value in hidden:
        text = text.replace(value, HIDDEN)
    home = _home()
    if not home or home not in text:
        return text
    # "~" by itself is null to YAML.
    return re.sub(rf"(?<![\w./-]){re.escape(home)}(/|(?![\w.-]))", lambda found: "~/" if found[1] else "~/.", text)


def masked_overrides(overrides: Sequence[str]) -> list[str]:
    """KEY=VALUE texts, each with its secret hidden."""
    hidden = _of_the_environment()
    return [_masked_override(str(each), hidden) for each in overrides]


def masked(value: Any, key: str = "") -> Any:
    """Plain values, nested in dicts and lists: what a key calls secret, and in texts what ``masked_text`` hides."""
    return _masked(value, key, _of_the_environment())


def _masked(value: Any, key: str, hidden: Sequence[str]) -> Any:
    if isinstance(value, dict):
        return {name: _masked(inner, str(name), hidden) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner, key, hidden) for inner in value]
    if is_secret(key, value):
        return HIDDEN
    return _masked_override(value, hidden) if isinstance(value, str) else value


def concerns(text: str) -> bool:
    """Whether ``masked`` may find something in what a text was written from."""
    home = _home()
    return bool(_HINT.search(text) or (home and home in text) or any(each in text for each in _of_the_environment()))


def _masked_override(text: str, hidden: Sequence[str]) -> str:
    key, equals, value = text.partition("=")
    if equals and not re.search(r"\s", key) and is_secret(key.lstrip("+~"), value):
        return f"{key}={HIDDEN}"
    return _masked_text(text, hidden)


def _last(prefix: str) -> str:
    return prefix.lstrip(" \t\n'\"?&+~,{(").rstrip("=:")


@cache
def _home() -> str:
    try:
        home = str(Path.home())
    except RuntimeError:
        return ""
    return home if len(home) > 1 else ""


def _of_the_environment() -> list[str]:
    named = {value for name in _secret_names(tuple(os.environ)) if len(value := os.environ[name]) >= _SHORT}
    # A shell keeps the working directory in PWD, which is no password; other variables say where a secret lies.
    return sorted((value for value in named if not _is_place(value)), key=len, reverse=True)


@cache
def _secret_names(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _KEY.search(name)]


def _is_place(value: str) -> bool:
    return os.path.isabs(value) and (value == os.environ.get("PWD") or os.path.exists(value))
