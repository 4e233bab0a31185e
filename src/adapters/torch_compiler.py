"""torch's compiler, which a second of every command goes into, imported once somebody asks it for something."""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from threading import RLock
from types import ModuleType
from typing import Any

_NAME = "torch._dynamo"
_lock = RLock()


def import_later() -> None:
    """Has ``torch._dynamo`` come when it is needed; torch's optimizers and Lightning import it by the way.

    Optimizers want marks for what is not to be compiled, which mean nothing to what isn't, and Lightning a class, to
    ask whether a module was compiled. Whatever else is asked for, by ``torch.compile`` or ``torch.export``, say, loads
    the module in place.
    """
    import torch

    if _NAME in sys.modules or (spec := find_spec(_NAME)) is None:
        return
    module = _Later(_NAME)
    vars(module).update(vars(module_from_spec(spec)))
    sys.modules[_NAME] = torch._dynamo = module
    sys.meta_path.insert(0, _Parts())


class _Compiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        """Nothing was compiled before the compiler is there."""
        module = sys.modules[_NAME]
        return not isinstance(module, _Later) and isinstance(instance, module.OptimizedModule)


class _Later(ModuleType):
    """The module until it is loaded."""

    class OptimizedModule(metaclass=_Compiled):
        """What ``torch.compile`` makes of a module."""

    @staticmethod
    def disable(fn: Any = None, *options: Any, **named: Any) -> Any:
        """What is not compiled needs no mark that it is not to be; without a function what marks one."""
        return fn or (lambda later: later)

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """Nor a place where a graph would end."""

    def __getattr__(self, name: str) -> Any:
        self.load()
        return getattr(self, name)

    def load(self) -> None:
        """Becomes the module, in place: others hold it."""
        with _lock:
            if isinstance(self, _Later):
                self.__class__ = ModuleType  # type: ignore[assignment]  # Python allows it between modules
                assert self.__spec__ is not None
                assert self.__spec__.loader is not None
                self.__spec__.loader.exec_module(self)


class _Parts(MetaPathFinder, Loader):
    """Loads the module before a part of it is, with which the part may come: it is not to be loaded again."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(f"{_NAME}."):
            return None
        if isinstance(module := sys.modules[_NAME], _Later):
            module.load()
        return spec_from_loader(fullname, self) if fullname in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        pass
