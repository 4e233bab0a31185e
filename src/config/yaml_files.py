"""YAML of plain containers: text, ten times as fast as ``OmegaConf.to_yaml``, and back."""

import re
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from src.adapters.omegaconf_yaml import values
from src.secrets import concerns, masked

try:
    from yaml import CSafeDumper as _SafeDumper
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML without libyaml: the same text, slower
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]  # not its subclass
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]  # likewise

# With or without a point and a sign: a number to OmegaConf and mostly a word to YAML 1.1, so that as text it is quoted.
_EXPONENT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*(\.[0-9_]*)?[eE][-+]?[0-9]+$")

_DEEPEST = 50
_MOST = 1 << 22  # bytes of a file: thousands of column names, and read in a second


class _Dumper(_SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """True: an object that occurs twice is written twice, not as an anchor and a reference to it."""
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
_Dumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_str(value.name))


def dump(container: dict[str, Any] | list[Any]) -> str:
    """Text from which ``yaml.safe_load`` and ``OmegaConf.create`` give back a container, keys in their order.

    Args:
        container: nested dicts, lists and tuples of plain values; an Enum's member is written by its name, as
            OmegaConf does.

    Raises:
        yaml.representer.RepresenterError: a value is none of these.
    """
    return yaml.dump(container, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)  # no line is folded


def masked_yaml(text: str) -> str:
    """YAML text without secrets; mostly the same text."""
    if not concerns(text):
        return text
    return dump(masked(OmegaConf.to_container(OmegaConf.create(text, max_yaml_expanded_nodes=None), resolve=False)))


def load(path: Path) -> Any:
    """The plain values of a file, as OmegaConf reads it: no interpolation is resolved, no tag is followed.

    An empty file holds no keys.

    Raises:
        OSError, ValueError, yaml.YAMLError: it cannot be read, is no regular file, too large, no YAML, or holds neither
            keys nor a list.
    """
    if not path.is_file():
        raise ValueError(f"{path.name} is no file")
    if path.stat().st_size > _MOST:
        raise ValueError(f"{path.name} is larger than {_MOST >> 20} MiB")
    _check_depth(path)
    with path.open(encoding="utf-8") as file:
        found = values(file)
    if not isinstance(found, dict | list | None):
        raise ValueError(f"{path.name} holds {found!r}, expected keys")
    return _plain({} if found is None else found, path)


def _plain(found: Any, path: Path) -> Any:
    """The same, if there is nothing in it that OmegaConf has no node for: a set, say, or a key that is a list."""
    if isinstance(found, dict):
        if odd := [key for key in found if not isinstance(key, str | int | float | bool)]:
            raise ValueError(f"{path.name} has the key {odd[0]!r}")
        for value in found.values():
            _plain(value, path)
    elif isinstance(found, list):
        for value in found:
            _plain(value, path)
    elif not isinstance(found, str | int | float | bool | bytes | Path | None):
        raise ValueError(f"{path.name} holds a {type(found).__name__}")
    return found


def _check_depth(path: Path) -> None:
    """libyaml calls itself for each level, and ends the process where they are too many."""
    depth = 0
    with path.open(encoding="utf-8") as file:
        for event in yaml.parse(file, Loader=_SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError(f"{path.name} is nested more than {_DEEPEST} levels deep")
