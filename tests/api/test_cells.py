"""docs/python.md as a notebook: every block runs, in its order, in one process in which an event loop runs."""

import asyncio
import logging
import os
import re
import shlex
import types
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import plumbline  # which sets OMP_WAIT_POLICY
from src.runs.found import found as runs_below
from tests.commands import Call

DOCS = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", DOCS, flags=re.MULTILINE | re.DOTALL)


def surroundings() -> dict[str, Any]:
    """What a library leaves alone."""
    root = logging.getLogger()
    ours = logging.getLogger("src")
    return {
        "folder": os.getcwd(),
        "handlers": (root.handlers[:], root.level, logging.raiseExceptions, ours.handlers[:], ours.level),
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg),
        "matplotlib": dict(matplotlib.rcParams),
        "torch": (torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads()),
        # But for what torch and Lightning set when they are imported.
        "environment": {name: value for name, value in os.environ.items() if not re.match("KMP_|PYTORCH_|TORCH", name)},
    }


def test_every_block_is_python_or_a_command() -> None:
    assert {language for language, _ in blocks()} == {"python", "sh"}
    assert DOCS.count("```") == 2 * len(blocks())


def test_the_page_runs_as_a_notebook(call: Call, elsewhere: Path) -> None:
    """Each value that the page promises is there, and nothing else of the process is changed."""
    cells = types.ModuleType("cells").__dict__

    assert plumbline.__name__ in DOCS

    async def notebook() -> None:
        for language, text in blocks():
            before = surroundings()
            if language == "python":
                exec(compile(text, "docs/python.md", "exec"), cells)
                after = surroundings()
                assert [name for name in before if before[name] != after[name]] == [], text
                continue
            for line in text.splitlines():
                door, *arguments = shlex.split(line.removeprefix("python -m src."))
                answer = call(door, *arguments)
                assert answer.code == 0, (line, answer.err)
                assert answer.out, line

    asyncio.run(notebook())
    run, folds, more, found = (cells[name] for name in ("run", "folds", "more", "found"))
    assert run.folder.parents[1] == elsewhere / "outputs" / "train"
    assert run.metrics["test/r2"] > 0.8
    assert len(run.history) == run.summary["epochs"] == 60
    assert more.summary["epochs"] == 80
    predicted = run.predict(cells["new"])
    assert predicted.name == "price_predicted"
    assert predicted[1] > predicted[0] > 1e5
    interval = folds.predict(cells["new"], interval=0.8)
    assert list(interval) == ["price_predicted", "price_low", "price_high"]
    assert (interval.price_low < interval.price_high).all()
    assert len(folds.model) == 3
    assert found.trials["rank"].tolist() == [1, 2]
    assert found.trials["objective"].is_monotonic_increasing
    assert found.best.metrics["val/mse"] == found.trials["objective"][0]
    assert isinstance(found.best.predict(cells["new"]), pd.Series)
    assert len(list(found.folder.glob("table-*.parquet"))) == 1
    [listed] = [each for each in runs_below(elsewhere / "outputs") if each.is_sweep]
    assert (listed.path, listed.statuses, listed.model) == (found.folder, {"completed": 2}, "mlp")
    assert (listed.value, listed.objective) == (found.trials["objective"][0], "val/mse")
