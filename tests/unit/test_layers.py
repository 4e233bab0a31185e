"""Imports go one way: the layers of src/, counting the ``_target_`` strings of conf/ as imports."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# From the ground up: a room imports from itself and from the layers below its own.
LAYERS = [
    ("src", "src.errors", "src.secrets", "src.adapters"),
    ("src.data", "src.models", "src.checks", "src.figures"),
    ("src.training",),
    ("src.config",),
    ("src.runs",),
    ("src.sweeping",),
    ("src.stacks", "src.reports", "src.exporting"),
    ("src.train", "src.evaluate", "src.predict", "src.export", "src.report", "src.plugins", "hydra_plugins"),
    ("src.api",),
]
LAYER = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}

Arrow = tuple[str, str]


def room(module: str) -> str:
    """The room of a module: the longest name of ``LAYERS`` that it begins with."""
    found = max((name for name in LAYER if _inside(module, name)), key=len, default=None)
    if found is None:
        raise AssertionError(f"{module} has no layer: give it one in {Path(__file__).name}")
    return found


def _inside(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def modules(root: Path) -> dict[str, Path]:
    """Every module of src/, by its dotted name; Hydra's plugins by the name that Hydra imports."""
    found = {}
    for path in sorted((root / "src").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        name = ".".join(parts).removeprefix("src.plugins.hydra_plugins.")
        found[name if name.startswith("src") else f"hydra_plugins.{name}"] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[Arrow]:
    """(importer, imported) for every import in a file, at its top, in a function or for a type checker."""
    arrows = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides where it goes"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        for target in targets:
            # `from src.data.table import Table` means src.data.table; `from src import build` means src.config.build.
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target not in (name, "src"):
                arrows.add((name, target))
    return arrows


def targets(root: Path, known: set[str]) -> set[Arrow]:
    """(YAML file, module) for every ``_target_`` of ours in conf/."""
    arrows = set()
    for path in sorted((root / "conf").rglob("*.yaml")):
        for target in re.findall(r"_target_:\s*['\"]?((?:src|hydra_plugins)[\w.]+)", path.read_text(encoding="utf-8")):
            module = target
            while module and module not in known:
                module = module.rpartition(".")[0]
            assert module not in ("", "src"), f"{path.relative_to(root)}: _target_ {target} names no module"
            arrows.add((str(path.relative_to(root)), module))
    return arrows


def faults(root: Path) -> list[str]:
    """Every import that goes up or to a neighbour, and every circle, in words."""
    found = modules(root)
    known = set(found)
    arrows = {arrow for name, path in found.items() for arrow in imports(name, path, known)}
    said = [f"{a} imports {b}" for a, b in sorted(arrows) if not _is_allowed(room(a), room(b))]
    # What build constructs from a configuration, build imports; a plugin is Hydra's to construct.
    said += [
        f"{a} has build construct {b}"
        for a, b in sorted(targets(root, known))
        if LAYER[room(b)] >= LAYER["src.config"] and room(b) != "src.plugins"
    ]
    return said + [f"a circle: {' -> '.join(circle)}" for circle in circles(arrows)]


def _is_allowed(importer: str, imported: str) -> bool:
    return importer == imported or LAYER[imported] < LAYER[importer] or LAYER[imported] == 0


def circles(arrows: set[Arrow]) -> list[list[str]]:
    """A path from a module back to itself for each circle of imports."""
    graph: dict[str, list[str]] = {}
    for source, target in sorted(arrows):
        graph.setdefault(source, []).append(target)
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for target in graph.get(module, []):
            walk(target, [*path, module])
        done.add(module)

    for module in sorted(graph):
        walk(module, [])
    return found


def test_imports_go_down() -> None:
    """No arrow up, no circle, no module without a floor."""
    assert faults(ROOT) == []


def test_every_target_is_found() -> None:
    """The configuration names modules that exist; there are some."""
    named = {module for _, module in targets(ROOT, set(modules(ROOT)))}
    assert {"src.data.sources", "src.models.mlp", "src.models.scratch", "src.plugins.folders"} <= named


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {
                "src/models/net.py": "def f():\n    from src.training.record import Record\n",
                "src/training/record.py": "",
            },
            ["src.models.net imports src.training.record"],
        ),
        (
            {"src/models/net.py": "import src.data.table\n", "src/data/table.py": ""},
            ["src.models.net imports src.data.table"],
        ),
        (
            {"src/config/build.py": "from src.runs import fit\n", "src/runs/fit.py": ""},
            ["src.config.build imports src.runs.fit"],
        ),
        (
            {"src/runs/a.py": "import src.runs.b\n", "src/runs/b.py": "def f():\n    from src.runs import a\n"},
            ["a circle: src.runs.a -> src.runs.b -> src.runs.a"],
        ),
        (
            {"src/train.py": "from src.predict import predict\n", "src/predict.py": ""},
            ["src.train imports src.predict"],
        ),
        (
            {"conf/model/a.yaml": "_target_: src.runs.fit.fit\n", "src/runs/fit.py": ""},
            ["conf/model/a.yaml has build construct src.runs.fit"],
        ),
        (
            {"src/data/table.py": "", "src/training/a.py": "from src.data.table import Table\n", "src/train.py": ""},
            [],
        ),
    ],
)
def test_what_is_a_fault(files: dict[str, str], said: list[str], tmp_path: Path) -> None:
    """Each kind of fault is found and named."""
    (tmp_path / "conf").mkdir()
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert faults(tmp_path) == said
