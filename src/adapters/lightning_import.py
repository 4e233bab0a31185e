"""Lightning's import without what this project never calls."""

import sys
from importlib import import_module
from types import ModuleType

from src.adapters.garbage import as_ever
from src.adapters.torch_compiler import import_later


def import_lightning() -> None:
    """Imports Lightning, a second sooner than by its name alone.

    torch's compiler is left for when it is needed. Lightning imports torchmetrics, which imports the whole of
    scipy.signal to mend one name for an audio metric. A stand-in that has the name takes its place meanwhile; whoever
    asks for scipy.signal afterwards gets the real one. With that a command has started, see ``garbage``.
    """
    name = "scipy.signal"
    import_later()
    if name not in sys.modules and "lightning" not in sys.modules:
        stand_in = ModuleType(name)
        stand_in.__dict__["hamming"] = None
        sys.modules[name] = stand_in
        try:
            import_module("lightning.pytorch")
        finally:
            del sys.modules[name]
    as_ever()
