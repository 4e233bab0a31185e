"""YAML text of plain containers, ten times as fast as ``OmegaConf.to_yaml`` and read alike by all who read it."""

import re
from enum import Enum
from typing import Any

import yaml

try:
    from yaml import CSafeDumper as _SafeDumper
except ImportError:  # a PyYAML without libyaml: the same text, slower
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]  # not its subclass

# With or without a point and a sign: a number to OmegaConf and mostly a word to YAML 1.1, so that as text it is quoted.
_EXPONENT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*(\.[0-9_]*)?[eE][-+]?[0-9]+$")


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
