"""Imports go down: the floors of src/, counting the ``_target_`` strings of conf/ as imports."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The longest prefix that fits a module decides its floor. A part of a prefix ends where a name ends.
FLOORS = {
    # 0: values and pure functions
    "src": 0,
    "src.errors": 0,
    "src.resolvers": 0,
    "src.data": 0,
    "src.models": 0,
    "src.results": 0,
    "src.values": 0,
    "src.training.task": 0,
    "src.data.partition": 0,
    # 1: Lightning's citizens, the stacked engine, the study
    "src.data.executions": 1,
    "src.data.module": 1,
    "src.training": 1,
    "src.sweeping": 1,
    # 2: configuration to objects
    "src.check": 2,
    "src.kinds": 2,
    "src.build": 2,
    "src.optimization": 2,
    # 3: the jobs
    "src.jobs": 3,
    # 4: the doors and what Hydra calls
    "src.door": 4,
    "src.train": 4,
    "src.evaluate": 4,
    "src.predict": 4,
    "src.report": 4,
    "src.export": 4,
    "src.runs": 4,
    "src.plugins": 4,
    "hydra_plugins": 4,
}

Arrow = tuple[str, str]


def floor(module: str) -> int:
    """The floor of a module."""
    prefix = max((p for p in FLOORS if _inside(module, p)), key=len, default=None)
    if prefix is None:
        raise AssertionError(f"{module} has no floor: give it one in {Path(__file__).name}")
    return FLOORS[prefix]


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
            # `from src.data.table import Table` means src.data.table; `from src import build` means src.build.
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
    """Every import that goes up, and every circle, in words."""
    found = modules(root)
    known = set(found)
    arrows = {arrow for name, path in found.items() for arrow in imports(name, path, known)}
    said = [f"{a} (floor {floor(a)}) imports {b} (floor {floor(b)})" for a, b in sorted(arrows) if floor(b) > floor(a)]
    said += [f"{a} is a door and imports the door {b}" for a, b in sorted(arrows) if _is_door(a) and _is_door(b)]
    # What build constructs from a configuration, build imports.
    said += [
        f"{a} has build construct {b} (floor {floor(b)})"
        for a, b in sorted(targets(root, known))
        if floor(b) >= FLOORS["src.build"] and floor(b) != FLOORS["src.plugins"]
    ]
    return said + [f"a circle: {' -> '.join(circle)}" for circle in circles(arrows)]


def _is_door(module: str) -> bool:
    return FLOORS.get(module) == 4 and module.startswith("src.") and module not in ("src.door", "src.plugins")


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
            ["src.models.net (floor 0) imports src.training.record (floor 1)"],
        ),
        (
            {"src/build.py": "from src.jobs import fit\n", "src/jobs/fit.py": ""},
            ["src.build (floor 2) imports src.jobs.fit (floor 3)"],
        ),
        (
            {"src/jobs/a.py": "import src.jobs.b\n", "src/jobs/b.py": "def f():\n    from src.jobs import a\n"},
            ["a circle: src.jobs.a -> src.jobs.b -> src.jobs.a"],
        ),
        (
            {"src/train.py": "from src.predict import predict\n", "src/predict.py": ""},
            ["src.train is a door and imports the door src.predict"],
        ),
        (
            {"conf/model/a.yaml": "_target_: src.jobs.fit.fit\n", "src/jobs/fit.py": ""},
            ["conf/model/a.yaml has build construct src.jobs.fit (floor 3)"],
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
