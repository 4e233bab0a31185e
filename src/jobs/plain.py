"""Overrides whose value is plain: what Hydra's grammar makes of them is known without asking it."""

import re
from typing import Any

_KEY = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(.*)", re.ASCII | re.DOTALL)
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LIST = re.compile(r"\[[^\[\]{}()'\"\\$]*\]", re.ASCII)
_NOT_WORDS = ("nan", "inf")


def plain_value(override: str) -> tuple[str | None, Any]:
    """Key and value of ``key=value`` where the value is a number, a word, true, false, null or a list of such."""
    match = _KEY.fullmatch(override)
    if match is None:
        return None, None
    key, text = match.groups()
    found, value = _literal(text)
    return (key, value) if found else (None, None)


def _literal(text: str) -> tuple[bool, Any]:
    if _WHOLE.fullmatch(text):
        return True, int(text)
    if _NUMBER.fullmatch(text):
        return True, float(text)
    lower = text.lower()
    if lower in ("true", "false"):
        return True, lower == "true"
    if lower == "null":
        return True, None
    if _WORD.fullmatch(text) and lower not in _NOT_WORDS:
        return True, text
    if _LIST.fullmatch(text):
        items = [_literal(item.strip()) for item in text[1:-1].split(",")] if text[1:-1].strip() else []
        if all(found for found, _ in items):
            return True, [value for _, value in items]
    return False, None
