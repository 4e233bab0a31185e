"""Errors of Hydra, OmegaConf and a user's own code in our words: what was found, what there is, what is nearest."""

import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from traceback import walk_tb
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, InterpolationResolutionError, OmegaConfBaseException

from src.config.rules import RULES
from src.config.values import flatten, unresolved
from src.errors import UserError, first_line, nearest

# What other frameworks call it, or people say.
ALSO = {
    "epochs": "max_epochs",
    "learning_rate": "lr",
    "batch": "batch_size",
    "bs": "batch_size",
    "steps": "max_steps",
    "wd": "weight_decay",
    "decay": "weight_decay",
    "layers": "hidden",
    "widths": "hidden",
    "gpus": "devices",
    "file": "path",
    "clip": "gradient_clip_val",
}
_ALSO_OF_COMMANDS = {"data": "input", "file": "input", "path": "input", "csv": "input"}  # that train nothing
_EXTRAS = {"ray": "ray", "submitit_slurm": "slurm"}  # by the launcher that each installs
_RULED = [f"{group}.{name}" if group else name for group, rules in RULES.items() for name in rules]


def told(error: BaseException, overrides: Sequence[str] = ()) -> UserError | None:
    """An error as a mistake of the user's, in one line; None where it is none.

    Args:
        error: whatever composing or running raised.
        overrides: of the command line.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override, error.message)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return no_option(*str(error.missing_cfg_file).rpartition("/")[::2])
    cause = error.__cause__
    if isinstance(error, HydraException) and isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        return UserError(no_key(str(cause.full_key), cause.parent_node._get_root()))
    if isinstance(error, OmegaConfBaseException):
        return _of_omegaconf(error)
    for override in _parsed(overrides):
        named = f"'{override.get_key_element().lstrip('~')}"
        gone = "does not exist|No match" if override.is_delete() else r"Could not override.*\sNo match"
        if re.search(gone, str(error)) and f"{named}'" in str(error):
            rest = [each for each in overrides if each != override.input_line and not each.startswith("-")]
            try:
                return UserError(no_key(override.key_or_group, _composed(rest)))
            except HydraException as other:  # which would have been next
                return told(other, rest)
        if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
            key, value = override.key_or_group, override.value()
            if not isinstance(value, (str, list, dict)) and (not key or _options(key) or _groups(key)):
                return no_option(key, str(override.input_line).partition("=")[2])
    if isinstance(error, HydraException):
        return _of_hydra(str(error), cause)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return UserError(f"{error.filename}: {error.strerror}")
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    where, called = {str(each.f_globals.get("__name__")) for each in frames}, {each.f_code.co_name for each in frames}
    if isinstance(error, RecursionError) and any(name.startswith("omegaconf.") for name in where):
        return UserError("an interpolation leads back to itself, expected ${KEY} of another key")
    if isinstance(error, AssertionError) and "configure_log" in called:
        return UserError("hydra.verbose must be true, false, or a logger's name or several")
    if "hydra._internal.logging_config" in where and isinstance(cause, OSError) and cause.filename:
        return UserError(f"{cause.filename}: {cause.strerror}")
    if "hydra._internal.logging_config" in where:
        return UserError(
            f"hydra.job_logging: {first_line(error)}, expected hydra/job_logging=default and what it takes"
        )
    if "hydra._internal.config_loader_impl" in where:
        return UserError(f"{' '.join(overrides)}: cannot be composed ({type(error).__name__}: {first_line(error)})")
    return None


def no_option(group: str, name: str) -> UserError:
    """That a group has no option of that name."""
    if not group:
        return UserError(f"{name or '='}: there is no such configuration, expected KEY=VALUE")
    if group == "hydra/launcher" and (extra := _EXTRAS.get(name)):
        return UserError(f"{group}={name} needs an extra: python -m pip install -c constraints.txt -e '.[{extra}]'")
    options = [option for option in _options(group) if option != "base"]
    elsewhere = [other for other in _groups("") if other != group and name in _options(other)]
    hint = (
        f"; did you mean {elsewhere[0]}={name}? {group} has: {', '.join(options)}"
        if elsewhere
        else nearest(name, options)
    )
    return UserError(f"{group}={name}: there is no such {group}{hint}")


def no_key(key: str, root: DictConfig) -> str:
    """That a configuration has no such key, and which is meant."""
    parent, _, last = key.rpartition(".")
    if having := _options_with(key):
        return f"{key}: there is no such key as things are chosen; it goes with {' or '.join(having)}"
    values = unresolved(root)
    hydra = {"hydra": values.pop("hydra", {})}
    if key.startswith("hydra."):
        values = hydra
    # _target_ and _partial_ are nobody's typo.
    known = [name for name in flatten(values) if not name.endswith("_")]
    trains = "model" in values  # other commands have no groups
    also, ruled, groups = (ALSO, _RULED, _groups("")) if trains else (_ALSO_OF_COMMANDS, [], [])
    named = [name for name in [*known, *ruled] if name.rpartition(".")[2] == also.get(last, last) and name != key]
    named.sort(key=lambda name: name.partition(".")[0] != key.partition(".")[0])
    near = named or _close(key, [name for name in [*known, *values, *groups] if name not in (key, parent)])
    node = _node(values, parent)
    siblings = [str(name) for name in node or {} if name != last and not str(name).endswith("_")][:12]
    there = f"{parent} has" if parent else f"{'There' if near else 'there'} are"
    hint = f"; did you mean {near[0]}?" if near else ";" if siblings else ""
    return f"{key}: there is no such key{hint}" + (f" {there}: {', '.join(siblings)}" if siblings else "")


def raised_by(error: BaseException, targets: Iterable[str]) -> str | None:
    """Class, file, line and words of an error that code of the user's own raised; None where it was other code.

    Args:
        error: as it was caught.
        targets: every ``_target_`` of the configuration.
    """
    own = {str(target).partition(".")[0] for target in targets} - {"src", "torch", "lightning", "builtins", "None"}
    frames = [
        (frame, line)
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in own
    ]
    if not frames:
        return None
    frame, line = frames[-1]
    name = type(frame.f_locals["self"]).__qualname__ if "self" in frame.f_locals else frame.f_code.co_name
    where = f"{os.path.relpath(frame.f_code.co_filename)}:{line}, in {frame.f_code.co_name}"
    return f"{name} ({where}): {type(error).__name__}: {first_line(error)}"


def _unreadable(override: str, message: str) -> UserError:
    if "=" not in override:
        close = _close(override, [*_groups(""), *_RULED])
        return UserError(f"{override}: expected KEY=VALUE" + (f", as in {close[0]}=…" if close else ""))
    said = [line for line in message.splitlines()[1:] if not line.startswith(("See ", "Error parsing"))]
    what = "" if not said or said[0].startswith("Lexer") else f" ({said[0].strip()})"
    return UserError(
        f"{' '.join(override.split())}: cannot be read as KEY=VALUE{what}; a value with signs or letters such as ä in "
        "it needs quotes inside the shell's, as in 'KEY=\"a, b\"'"
    )


def _of_hydra(message: str, cause: BaseException | None) -> UserError:
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'|Sweep parameters '(.*)' requires", message)
    if ambiguous:
        given = ambiguous[1] or ambiguous[2]
        key, _, value = given.partition("=")
        texts = f"; one list is {key}=[{value}], one text '{key}=\"{value}\"'" if ambiguous[1] else ""
        return UserError(f"{given}: several values are a sweep, which -m asks for{texts}")
    lines = [line.strip() for line in message.splitlines() if line.strip() and "append to your" not in line]
    if isinstance(cause, OmegaConfBaseException):
        lines.append(first_line(cause))
    return UserError(": ".join(line.rstrip(".:") for line in lines) or type(cause).__name__)


def _of_omegaconf(error: OmegaConfBaseException) -> UserError:
    key, said = str(error.full_key or error.key), first_line(error)
    missing = re.search(r"Missing mandatory value: ([^\s:]+)", said)
    if missing or isinstance(error, MissingMandatoryValue):
        needed = missing[1] if missing else key
        return UserError(f"{needed} has to be given, as in {needed}=…")
    if isinstance(error, (ConfigAttributeError, ConfigKeyError)):
        return UserError(f"{key} is missing, and is needed: expected {key}=…")
    if isinstance(error, InterpolationResolutionError):
        found = re.search(r"Interpolation key '(.*)' not found", said)
        root = error.parent_node._get_root() if error.parent_node is not None else None
        if found and root is not None:
            return UserError(f"{key}: ${{{found[1]}}}: {no_key(found[1], root)}")
        return UserError(f"{key}: {said.partition('resolving interpolation: ')[2] or said}")
    return UserError(f"{key}: {said}")


def _parsed(overrides: Sequence[str]) -> list[Any]:
    found = []
    for text in overrides:
        try:
            found.append(OverridesParser.create().parse_override(text))
        except HydraException:
            continue
    return found


def _composed(overrides: list[str]) -> DictConfig:
    """This command's configuration."""
    from hydra.core.utils import JobRuntime

    return _loader().load_configuration(JobRuntime.instance().get("name"), overrides, RunMode.MULTIRUN)


def _loader() -> Any:
    return GlobalHydra.instance().config_loader()


def _options(group: str) -> list[str]:
    return _loader().get_group_options(group) if GlobalHydra.instance().is_initialized() else []


def _groups(parent: str) -> list[str]:
    return [str(name) for name in _loader().list_groups(parent)] if GlobalHydra.instance().is_initialized() else []


def _options_with(key: str) -> list[str]:
    """The choices, as GROUP=OPTION, that have a key."""
    parts = key.split(".")
    return [
        f"{group}={option}"
        for group, inner in (("/".join(parts[:n]), ".".join(parts[n:])) for n in range(1, len(parts)))
        for option in _options(group)
        if (loaded := _loader().repository.load_config(f"{group}/{option}"))
        and isinstance(loaded.config, DictConfig)
        and inner in flatten(unresolved(loaded.config))
    ]


def _node(values: dict[str, Any], key: str) -> dict[str, Any] | None:
    node: Any = values
    for part in key.split(".") if key else []:
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _close(word: str, choices: Iterable[str]) -> list[str]:
    """The choices that are nearest, by their whole name or by its last part."""
    by_last = {choice.rpartition(".")[2]: choice for choice in choices}
    whole = get_close_matches(word.lower(), list(choices), n=1)
    return whole or [by_last[name] for name in get_close_matches(word.rpartition(".")[2].lower(), list(by_last), n=1)]
