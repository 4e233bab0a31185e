"""What a configuration may construct: decided by kind, on the class that a name means, before anything is built.

A configuration that the user composes may name a class of the right kind from any package. One that is read from a
folder is somebody else's: it names what is on a closed list, which is asked before anything is imported.
"""

import inspect
import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, get_type_hints

from omegaconf import DictConfig, ListConfig

from src.config.values import unresolved
from src.errors import UserError

_TORCH_NN = (r"torch\.nn\.[A-Z]\w*", r"torch\.nn\.modules\.\w+\.[A-Z]\w*")


@dataclass(frozen=True)
class Kind:
    """What one group of the configuration may construct.

    Args:
        base: the class whose subclasses it may name, as module:class.
        closed: patterns of the names that a folder may give, and of those by which their classes know themselves.
        listed: the same in words.
        room: a module, or a folder of modules, whose public functions are allowed where they return a ``base``.
        classes: whether subclasses are allowed; without, only functions of ``room`` are.
        nested: whether nodes within a node may construct the same kind.
        partial: whether ``_partial_`` is allowed.
    """

    base: str
    closed: tuple[str, ...]
    listed: str
    room: str = ""
    classes: bool = True
    nested: bool = False
    partial: bool = False

    @property
    def wanted(self) -> str:
        """What a user's own configuration may name, in words."""
        name = self.base.replace(":", ".")
        if not self.classes:
            return f"a function of {self.room} that returns a {self.base.partition(':')[2]}"
        return f"a subclass of {name}" + (f" or a function of {self.room} that returns one" if self.room else "")


KINDS = {
    "model": Kind(
        "torch.nn:Module",
        (r"src\.models\.[a-z]\w*\.[A-Za-z]\w*", *_TORCH_NN),
        "a net of src.models or a module of torch.nn",
        room="src.models",
        nested=True,
    ),
    "loss": Kind(
        "torch.nn:Module",
        (r"src\.training\.quantile\.Quantile", *_TORCH_NN),
        "src.training.quantile.Quantile or a module of torch.nn",
        nested=True,
    ),
    "optimizer": Kind(
        "torch.optim:Optimizer",
        (r"torch\.optim\.(\w+\.)?[A-Z]\w*",),
        "an optimizer of torch.optim",
        nested=True,
        partial=True,
    ),
    "scheduler": Kind(
        "torch.optim.lr_scheduler:LRScheduler",
        (r"torch\.optim\.lr_scheduler\.[A-Z]\w*", r"src\.training\.coslog4\.CosLog4"),
        "src.training.coslog4.CosLog4 or a scheduler of torch.optim.lr_scheduler",
        partial=True,
    ),
    "callbacks": Kind(
        "lightning.pytorch:Callback",
        (
            r"src\.training\.(checkpoints\.Checkpoints|progress\.Progress|early_stopping\.[A-Z]\w*)",
            r"lightning\.pytorch\.callbacks\.(early_stopping\.)?EarlyStopping",
        ),
        "a callback of ours or EarlyStopping of lightning.pytorch.callbacks",
        nested=True,
    ),
    "logger": Kind(
        "lightning.pytorch.loggers:Logger",
        (r"src\.training\.tensorboard\.TensorBoard",),
        "src.training.tensorboard.TensorBoard",
    ),
    "data": Kind(
        "src.data.table:Table",
        (r"src\.data\.sources\.[a-z]\w*",),
        "a function of src.data.sources that returns a Table",
        room="src.data.sources",
        classes=False,
    ),
}


def check_kind(node: dict[str, Any], key: str, foreign: bool = False, trust: Collection[str] = ()) -> set[str]:
    """Holds a node, and every node within, against the kind of its group; imports what it names and calls nothing.

    Args:
        node: plain values with a ``_target_``.
        key: where it stands; its first part is the group, a key of ``KINDS``.
        foreign: whether it comes from a folder, so that only the closed list is allowed.
        trust: packages whose classes of the right kind a folder may name as well.

    Returns:
        The names that it may be built from, and no others.

    Raises:
        UserError: something in it is of another kind; the message names the key.
    """
    return _Check(KINDS[key.partition(".")[0]], foreign, trust).node(node, key)


def check_folder(cfg: DictConfig, groups: Collection[str], trust: Collection[str] = ()) -> None:
    """Holds these groups of a configuration that was read from a folder against the closed lists.

    Raises:
        UserError: one names something else.
    """
    # As it stands in the file: a run resolves what it saves, so an interpolation is somebody's trick.
    values = unresolved(cfg)
    for group in groups:
        node = values.get(group)
        if group in ("callbacks", "logger"):
            for name, each in (node or {}).items():
                check_kind(each, f"{group}.{name}", foreign=True, trust=trust)
        elif node is not None and node != {"_target_": None}:
            check_kind(node, group, foreign=True, trust=trust)


def packages(trust: Any) -> tuple[str, ...]:
    """``trust`` of the command line as names: nothing, one, or a list."""
    return () if trust is None else tuple(map(str, trust)) if isinstance(trust, (list, ListConfig)) else (str(trust),)


@dataclass(frozen=True)
class _Check:
    kind: Kind
    foreign: bool
    trust: Collection[str]

    def node(self, node: Any, key: str, top: bool = True) -> set[str]:
        """A node that constructs something."""
        if not isinstance(node, dict) or "_target_" not in node:
            raise UserError(f"{key}: expected a _target_, {self._expected()}, found {node!r}")
        names = self._target(node["_target_"], key)
        for name, value in node.items():
            if name == "_args_" and self.kind.nested and self.kind.classes and isinstance(value, list):
                for place, item in enumerate(value):
                    for inner in item if isinstance(item, list) else [item]:
                        names |= self.node(inner, f"{key}._args_.{place}", top=False)
            elif name == "_partial_" and isinstance(value, bool) and (not value or (self.kind.partial and top)):
                continue
            elif name != "_target_":
                names |= self._value(name, value, key)
        return names

    def _value(self, name: Any, value: Any, key: str) -> set[str]:
        """An argument, or a value within one."""
        key = f"{key}.{name}"
        if str(name).startswith("_") and str(name).endswith("_"):
            raise UserError(f"{key}: {name} is not allowed here")
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{key}: expected a value, found the interpolation {value!r}")
        if isinstance(value, dict) and "_target_" in value:
            if not self.kind.nested:
                raise UserError(f"{key}: expected a value, found _target_ {value['_target_']}: nothing is built here")
            return self.node(value, key, top=False)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return {each for inner, item in items for each in self._value(inner, item, key)}

    def _target(self, target: Any, key: str) -> set[str]:
        """The names of what a ``_target_`` means."""
        if not isinstance(target, str):
            raise UserError(f"{key}: expected a _target_, {self._expected()}, found {target!r}")
        closed = (self.foreign or not self.kind.classes) and target.partition(".")[0] not in self.trust
        if closed and not self._listed(target):
            raise self._refusal(key, target)
        found = resolve(target, key)
        name = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
        if not self._fits(found, target == name):
            raise self._refusal(key, target, _what(found))
        if closed and not self._listed(name):
            raise self._refusal(key, target, f"which is {name}")
        # Hydra asks for the class of what a function returned as well.
        return {target, name} if inspect.isclass(found) else {target, name, "torch.nn.modules.*", f"{self.kind.room}.*"}

    def _listed(self, name: str) -> bool:
        return any(re.fullmatch(pattern, name, re.ASCII) for pattern in self.kind.closed)

    def _fits(self, found: Any, by_own_name: bool) -> bool:
        module, _, name = self.kind.base.partition(":")
        base = getattr(import_module(module), name)
        if inspect.isclass(found):
            return self.kind.classes and issubclass(found, base)
        room = self.kind.room
        if not (room and by_own_name and inspect.isfunction(found) and not found.__name__.startswith("_")):
            return False
        if found.__module__ != room and not found.__module__.startswith(f"{room}."):
            return False
        returned = get_type_hints(found).get("return")
        return inspect.isclass(returned) and issubclass(returned, base)

    def _expected(self) -> str:
        return self.kind.listed if self.foreign else self.kind.wanted

    def _refusal(self, key: str, target: str, what: str = "") -> UserError:
        found = f"found {target if target.isprintable() else repr(target)}" + (f", {what}" if what else "")
        more = "; trust=PACKAGE opens a package of your own" if self.foreign and self.kind.classes else ""
        return UserError(f"{key}: expected {self._expected()}, {found}{more}")


def resolve(target: str, key: str) -> Any:
    """What a dotted name means, imported as far as needed and not called.

    Raises:
        UserError: there is no such thing; the message names the key.
    """
    parts = target.split(".")
    try:
        found: Any = import_module(parts[0])
        for number, part in enumerate(parts[1:], 2):
            if isinstance(found, ModuleType) and not hasattr(found, part):
                import_module(".".join(parts[:number]))
            found = getattr(found, part)
    except Exception as error:  # whatever a module of the user's raises while it is imported
        said = " ".join(str(error).split())
        raise UserError(f"{key}: _target_ {target} cannot be imported ({type(error).__name__}: {said})") from error
    return found


def _what(found: Any) -> str:
    if inspect.isclass(found):
        return "which is another class"
    return "which is a module" if isinstance(found, ModuleType) else "which is no class"
