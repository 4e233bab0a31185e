"""torch's compiler, a second of each command's start, imported once it is asked for; written for torch 2.13."""

import sys
from collections.abc import Callable
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_loader
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any, ClassVar
from weakref import WeakSet

_NAME = "torch._dynamo"
_lock = RLock()


def import_later() -> None:
    """Has ``torch._dynamo`` come when it is needed; torch's optimizers and Lightning import it by the way.

    They mark functions that are not to be compiled, and ask whether a module was. Such a mark takes effect once the
    compiler is there. Whatever else is asked for, by ``torch.compile`` or ``torch.export``, say, loads the module in
    place.
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


class _Mark:
    """A function that is not to be compiled, as it is until there is a compiler."""

    def __init__(self, function: Callable[..., Any], options: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.function, self.options, self.named = function, options, named

    def take_effect(self, disable: Callable[..., Any]) -> None:
        """Has the compiler know."""
        self.function = disable(self.function, *self.options, **self.named)


class _Later(ModuleType):
    """The module until it is loaded."""

    marks: ClassVar[WeakSet[_Mark]] = WeakSet()
    loading = False

    class OptimizedModule(metaclass=_Compiled):
        """What ``torch.compile`` makes of a module."""

    @staticmethod
    def disable(fn: Any = None, *options: Any, **named: Any) -> Any:
        """Marks a function; without one what marks it."""
        module: Any = sys.modules[_NAME]
        if fn is None:
            return lambda later: module.disable(later, *options, **named)
        if not isinstance(fn, FunctionType):
            module.load()
            return module.disable(fn, *options, **named)
        mark = _Mark(fn, options, named)
        _Later.marks.add(mark)

        @wraps(fn)
        def marked(*args: Any, **keywords: Any) -> Any:
            return mark.function(*args, **keywords)

        return marked

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """What is not compiled has no graph."""

    def __getattr__(self, name: str) -> Any:
        self.load()
        if isinstance(self, _Later):  # asked while it is loaded, by what it loads
            raise AttributeError(f"module {_NAME!r} has no attribute {name!r}")
        return getattr(self, name)

    def load(self) -> None:
        """Becomes the module, in place: others hold it. Other threads wait; what fails may be tried again."""
        with _lock:
            if not isinstance(self, _Later) or _Later.loading:
                return
            before, spec = dict(vars(self)), self.__spec__
            assert spec is not None
            assert spec.loader is not None
            _Later.loading = True
            try:
                spec.loader.exec_module(self)
            except BaseException:
                parts = {name: value for name, value in vars(self).items() if isinstance(value, ModuleType)}
                vars(self).clear()
                vars(self).update(parts | before)  # a part that came stays, and is not loaded again
                raise
            finally:
                _Later.loading = False
            self.__class__ = ModuleType  # type: ignore[assignment]  # Python allows it between modules
            for mark in list(_Later.marks):
                mark.take_effect(self.disable)


class _Parts(MetaPathFinder, Loader):
    """Loads the module before a part of it is, with which the part may come: it is not to be loaded again."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        """None leaves it to others."""
        module = sys.modules.get(_NAME)
        if not fullname.startswith(f"{_NAME}.") or not isinstance(module, _Later) or _Later.loading:
            return None
        module.load()
        return spec_from_loader(fullname, self) if fullname in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """What is there already."""
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it was."""
