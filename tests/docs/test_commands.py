"""Every block of README.md and docs/ is run, page by page and in its order, with fewer epochs and trials."""

import argparse
import importlib.util
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Call, as_a_process
from tests.docs.blocks import PAGES, ROOT, Block, blocks

ELSEWHERE = {"python.md": "tests/api/test_cells.py runs it, and asserts what each cell promises"}
# What is composed and not run: a word of the command, and why.
COMPOSED = {
    "hydra/launcher=ray": "needs a cluster, and the extra ray; -m ray runs it",
    "hydra/launcher=submitit_slurm": "needs a cluster, and the extra slurm",
    "hydra.launcher.workers=ray": "needs a cluster, and the extra ray; -m ray runs it",
    "hydra.launcher.workers=8": "starts eight processes; tests/sweeping/test_workers.py starts two",
    "hydra/launcher=joblib": "starts four processes; tests/sweeping runs it",
    "hydra.sweeper.storage=postgresql://USER@HOST/DB": "needs a database; tests/sweeping/test_workers.py has one",
    "trainer=ddp": "starts two processes; tests/cli/test_ddp.py runs it",
}
PLUGINS = {"hydra/launcher=ray": "hydra_ray_launcher", "hydra/launcher=submitit_slurm": "hydra_submitit_launcher"}


class Read(Exception):
    """A program of tests/ has read its arguments; it would take minutes, so that is all it does here."""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the tables that a clone has, from which a page's own modules can be imported."""
    (tmp_path / "src" / "data").mkdir(parents=True)
    for table in (ROOT / "src" / "data").glob("*.csv"):
        shutil.copy(table, tmp_path / "src" / "data")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)


def shortened(arguments: list[str]) -> list[str]:
    """Overrides of src.train as they are, but for what makes them long."""
    command = " ".join(arguments)
    if "rerun=" in command:  # as the run was, or not at all
        return arguments
    epochs = 4 if "max_epochs" in command else 2
    found = [each for each in arguments if not re.match(r"trainer\.max_epochs=|.*n_trials=", each)]
    found = [re.sub(r"^seed=range\(\d+\)$", "seed=range(3)", re.sub("^folds=10$", "folds=3", each)) for each in found]
    if re.search(r"(^| )sweep=|n_trials", command):
        found.append("hydra.sweeper.n_trials=2")
    if not re.search("experiment=|descent=|resume=", command):
        found += ["logger=none", "figures=false"]
    return [*found, f"trainer.max_epochs={epochs}"]


def composed(arguments: list[str]) -> list[str]:
    """The configuration of a sweep, shown; of a launcher that is not installed, with Hydra's own in its place."""
    found = [each for each in arguments if each not in ("-m", "--multirun")]
    for launcher, plugin in PLUGINS.items():
        if importlib.util.find_spec("hydra_plugins") and not importlib.util.find_spec(f"hydra_plugins.{plugin}"):
            found = ["hydra/launcher=basic" if each == launcher else each for each in found]
    return [*found, "--cfg", "all"]


def reads(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of tests/ takes these arguments."""
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, *given: Any) -> None:
        parse(parser, *given)
        raise Read

    with monkeypatch.context() as patch, as_a_process(module, tuple(arguments)):
        patch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
        with pytest.raises(Read):
            runpy.run_module(module, run_name="__main__")


def run(words: list[str], call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command line."""
    python, flag, module, *arguments = words
    assert (python, flag) == ("python", "-m"), words
    if module in ("pip", "pytest"):  # test_pages.py asks whether the extra is there
        return
    if module.startswith("tests."):
        reads(module, arguments, monkeypatch)
        return
    door = module.removeprefix("src.")
    if COMPOSED.keys() & set(arguments):
        arguments = composed(arguments)
    elif door == "train":
        arguments = shortened(arguments)
    answer = call(door, *arguments)
    assert answer.code == 0, f"{' '.join(words)}\n{answer.out}\n{answer.err}"
    assert answer.out.strip(), words


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in ELSEWHERE], ids=lambda page: page.name)
def test_page_runs(page: Path, call: Call, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells: dict[str, Any] = {}
    predictions = []
    found = blocks(page)
    for block in found:
        if block.file:
            write(clone, block)
    for block in found:
        if block.language == "python" and not block.file:
            exec(compile(block.text, page.name, "exec"), cells)
            predictions.append(np.ravel(cells["predicted"].tolist()))
        for words in block.commands:
            run(words, call, monkeypatch)
    assert len(predictions) == (2 if page.name == "export.md" else 0)
    for predicted in predictions:  # of the same rows, by the two kinds of file
        assert predicted == pytest.approx(predictions[0], rel=1e-6)
        assert len(predicted) == 4


def write(folder: Path, block: Block) -> None:
    """The file that a block is."""
    assert block.file
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)


def test_exceptions_are_still_needed() -> None:
    words = {word for page in PAGES for block in blocks(page) for command in block.commands for word in command}
    assert COMPOSED.keys() <= words
    for page in ELSEWHERE:
        assert (ROOT / "docs" / page).is_file()
