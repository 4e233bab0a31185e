"""YAML text of plain containers, ten times as fast as ``OmegaConf.to_yaml`` and read alike by all who read it.

PyYAML reads YAML 1.1, in which 1e5 is a word and 2020-01-01 a date; OmegaConf reads the first as a number and the
second as text. So text that either takes for something else is quoted, and what is read here is read as by
OmegaConf.
"""

import re
from enum import Enum
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _SafeDumper
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML without libyaml: the same text, slower
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_WIDTH = 1 << 30  # of a line: none is folded
_FLOAT = "tag:yaml.org,2002:float"
_DATE = "tag:yaml.org,2002:timestamp"
_EXPONENT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*(\.[0-9_]*)?[eE][-+]?[0-9]+$")  # with or without a point and a sign


class _Dumper(_SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """True: an object that occurs twice is written twice, not as an anchor and a reference to it."""
        return True


class _Loader(_SafeLoader):
    pass


for _class in (_Dumper, _Loader):
    _class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))
_Dumper.add_multi_representer(Enum, lambda dumper, value: dumper.represent_str(value.name))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def dump(container: dict[str, Any] | list[Any]) -> str:
    """The text of a container, keys in their order.

    Args:
        container: nested dicts, lists and tuples of plain values; an Enum's member is written by its name, as
            OmegaConf does.

    Returns:
        Text from which ``load``, ``yaml.safe_load`` and ``OmegaConf.create`` give back the container.

    Raises:
        yaml.representer.RepresenterError: a value is none of these.
    """
    return yaml.dump(container, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def load(text: str) -> Any:
    """What ``text`` stands for, in plain values: interpolations such as ``${a}`` stay as they are.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    return yaml.load(text, _Loader)
