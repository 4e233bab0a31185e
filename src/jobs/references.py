"""What the interpolations of a configuration refer to."""

import re
from typing import Any

from omegaconf import DictConfig, ListConfig

_OF_THE_JOB = re.compile(r"\$\{hydra[:.](job\.(num|id|override_dirname)|overrides|runtime\.output_dir|sweep)")
_OF_HYDRA = re.compile(r"\$\{(hydra[:.]|now:|oc\.env:|python_version:)[^${}]*\}")


def interpolations(config: DictConfig) -> list[str]:
    """Every text with an interpolation that a job resolves: its task part, and where its folder is."""
    found: list[str] = []

    def walk(node: Any) -> None:
        for key in range(len(node)) if isinstance(node, ListConfig) else list(node):
            child = node._get_node(key)
            if isinstance(child, DictConfig | ListConfig) and isinstance(child._value(), dict | list):
                if child is not config.hydra:
                    walk(child)
            elif isinstance(child._value(), str) and "${" in child._value():
                found.append(child._value())

    walk(config)
    for key in ("dir", "subdir"):
        text = config.hydra.sweep._get_node(key)._value()
        if isinstance(text, str):
            found.append(text.replace("${hydra.job.num}", ""))
    return found


def depends(text: str, key: str) -> bool:
    """Whether an interpolation may read ``key``, its parents, or what differs between jobs."""
    if _OF_THE_JOB.search(text):
        return True
    rest = _OF_HYDRA.sub("", text)
    if "${" not in rest:
        return False
    rest = rest[rest.index("${") :]
    # A call may read anything; a relative reference says no names.
    return ":" in rest or "${." in rest or bool(set(re.findall(r"\w+", rest)) & set(key.split(".")))
