"""YAML files of which thousands differ in a few values: dumped once, then filled in.

Dumping a configuration costs milliseconds; filling a template costs microseconds and, once loaded, is
equal.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

_PLAIN = re.compile(r"(?!\d)[\w/][\w./=+-]*$", re.ASCII)  # text that YAML reads back as it stands
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # … unless it is one of these


class Template:
    """The YAML text of a mapping with holes.

    Args:
        container: nested plain values.
        names: dotted names of the holes; numbers index lists.
    """

    def __init__(self, container: Mapping[str, Any], names: Sequence[str]) -> None:
        holed: Any = copy.deepcopy(container)
        marks = {}
        for number, name in enumerate(names):
            *parents, last = name.split(".")
            node = holed
            for parent in parents:
                node = node[int(parent) if isinstance(node, list) else parent]
            marks[f"PLUMBLINE-HOLE-{number}-"] = name
            node[int(last) if isinstance(node, list) else last] = f"PLUMBLINE-HOLE-{number}-"
        text = OmegaConf.to_yaml(OmegaConf.create(holed))
        pieces = re.split(r"(PLUMBLINE-HOLE-\d+-)", text)
        self._texts = pieces[::2]
        self._names = [marks[mark] for mark in pieces[1::2]]

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with every hole filled."""
        parts = [self._texts[0]]
        for name, text in zip(self._names, self._texts[1:], strict=True):
            parts += (scalar(values[name]), text)
        return "".join(parts)


def scalar(value: Any) -> str:
    """A plain value as it may stand after ``key: `` in YAML; lists in brackets."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        if "inf" in text or "nan" in text:
            return text.replace("inf", ".inf").replace("nan", ".nan")
        # YAML 1.1 takes 1e-05 for a word; 1.0e-05 is a number.
        return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    return "'" + text.replace("'", "''") + "'" if "\n" not in text else _quoted(text)


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)  # YAML's double quotes read JSON's escapes
