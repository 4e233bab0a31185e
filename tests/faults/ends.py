"""Ends that are asked for or found: signals, divergence, and data that changed while a run was stopped."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import torch

from src.runs.folder import RunFolder
from tests.faults.process import Forked
from tests.faults.row import Row, Tally
from tests.faults.same import differences

NET = ("model=mlp", "model.hidden=[8]", "optimizer=adam", "data.batch_size=8", "logger=none", "figures=false")
LONG = "trainer.max_epochs=100000000"
KINDS: dict[str, tuple[str, ...]] = {
    "lone": (*NET, LONG, "hydra.run.dir=run"),
    "plain": (*NET, LONG, "trainer.steps_per_execution=1", "hydra.run.dir=run"),
    "folds": (*NET, LONG, "folds=3", "hydra.run.dir=run"),
    "stack": (*NET, LONG, "-m", "hydra/launcher=stacked", "seed=range(3)", "hydra.sweep.dir=run"),
}
SWEEP = ("-m", "sweep=lr", "hydra.sweeper.n_trials=4", "trainer.max_epochs=4000", "logger=none", "hydra.sweep.dir=run")
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)
# Case by case: what is asked for, and whether an earlier checkpoint has to be there still.
DIVERGING: dict[str, tuple[str, ...]] = {
    "a learning rate that explodes": ("optimizer.lr=9", "trainer.max_epochs=400"),
    "one epoch at lr=9e18": ("optimizer.lr=9e18", "trainer.max_epochs=1"),
    "weights past all bounds, the loss flat": ("loss=mae", "optimizer.lr=9e18", "trainer.max_epochs=1"),
    "a loss of 5e26": ("optimizer.lr=1e11", "trainer.max_epochs=3"),
    "a NaN in a batch": (
        "loss._target_=tests.training.broken.Broken",
        "+loss.since=15",
        "+loss.value=nan",
        "data.batch_size=6",
    ),
    "a NaN after sound checkpoints": (
        *("loss._target_=tests.training.broken.Broken", "+loss.since=40", "+loss.value=nan", "data.batch_size=6"),
        "callbacks.checkpoints.every_n_epochs=2",
    ),
}


def signals(where: Path, count: int, chance: random.Random) -> Tally:
    """Each signal to each kind of training, and then on; last, a second signal."""
    tally = Tally()
    cases = [(kind, number) for number in SIGNALS for kind in (*KINDS, "sweep")][: count - 1]
    for kind, number in cases:
        folder = where / f"{kind}{number}"
        folder.mkdir()
        line = KINDS.get(kind, SWEEP)
        process = Forked(folder, *line)
        if kind in ("lone", "plain"):
            process.until((folder / "run" / "metrics.csv").exists)
        if kind in ("folds", "stack"):  # which write nothing in their first minute
            process.until(lambda: any((folder / "run").glob("*.*")))  # noqa: B023
            time.sleep(4)
        if kind == "sweep":
            process.until((folder / "run" / "1" / ".hydra").exists)  # the first of four is over
        time.sleep(chance.uniform(0, 0.1 if kind == "sweep" else 0.5))
        process.send(number)
        code = process.wait()
        tally.count += 1
        tally.expect(code == 128 + number, f"{kind}: {number}: exit code {code}: {process.said()}")
        summaries = [json.loads(path.read_text()) for path in sorted(folder.glob("run/**/summary.json"))]
        if kind != "sweep":
            found = {each["status"] for each in summaries}
            tally.expect(found == {"interrupted"}, f"{kind}: {number}: {found}")
        _go_on(tally, folder, kind)
    folder = where / "second"
    folder.mkdir()
    process = Forked(folder, *KINDS["plain"], "data=synthetic", "data.n_samples=300000", "hydra.run.dir=run")
    process.until(lambda: (folder / "run" / "train.log").exists() and "plain path" in process.said())
    time.sleep(1)
    process.send(signal.SIGTERM)
    time.sleep(0.3)
    tally.expect(not process.over(), "the first signal ended it within an epoch")
    process.send(signal.SIGTERM)
    tally.count += 1
    tally.expect(process.wait(5) == -signal.SIGTERM, f"the second signal: {process.code}")
    return tally


def _go_on(tally: Tally, folder: Path, kind: str) -> None:
    """After the signal: the run, or each member, ends as if nothing had been."""
    if kind == "sweep":
        process = Forked(folder, *SWEEP)
        tally.expect(process.wait() == 0, process.said())
        found = {json.loads(path.read_text())["status"] for path in folder.glob("run/*/summary.json")}
        tally.expect(
            len(list(folder.glob("run/*/summary.json"))) == 4 and found <= {"completed", "diverged"}, str(found)
        )
        return
    run = folder / ("run/1" if kind == "stack" else "run")
    done = _epochs(run)
    more = f"trainer.max_epochs={done + 20}"
    process = Forked(folder, f"hydra.run.dir={run}", f"resume={run}", more, "figures=false")
    tally.expect(process.wait() == 0, process.said())
    tally.expect(RunFolder(run).read_summary().get("status") == "completed", f"{kind}: does not complete")
    if kind in ("lone", "plain") and done < 40000:
        line = [each for each in KINDS[kind] if each not in (LONG, "hydra.run.dir=run")]
        whole = Forked(folder, *line, more, "hydra.run.dir=whole")
        tally.expect(whole.wait() == 0, whole.said())
        found = differences(run, folder / "whole")
        tally.expect(not found, f"{kind}: {found}")


def _epochs(run: Path) -> int:
    summary = RunFolder(run).read_summary()
    members = [int(json.loads(path.read_text())["epochs"]) for path in run.glob("members/*/summary.json")]
    return int(summary.get("epochs", 0)) or max(members, default=0)


def diverging(where: Path, count: int, chance: random.Random) -> Tally:
    """Exit code 1, one line that says why, and the last sound checkpoint kept."""
    tally = Tally()
    for number, (case, overrides) in enumerate(list(DIVERGING.items())[:count]):
        run = f"run{number}"
        process = Forked(where, *overrides, "logger=none", f"hydra.run.dir={run}")
        code = process.wait()
        tally.count += 1
        summary: dict[str, Any] = RunFolder(where / run).read_summary()
        tally.expect(code == 1, f"{case}: exit code {code}: {process.said()}")
        tally.expect(summary.get("status") == "diverged" and "message" in summary, f"{case}: {summary.get('status')}")
        tally.expect("Traceback" not in process.said(), process.said())
        if "callbacks.checkpoints.every_n_epochs=2" in overrides:
            state = torch.load(RunFolder(where / run).checkpoint("last"), weights_only=True)
            sound = all(bool(part.isfinite().all()) for part in state["state_dict"].values())
            tally.expect(sound and state["global_step"] < 40, f"{case}: no sound checkpoint: {state['global_step']}")
    return tally


def changed(where: Path, count: int, chance: random.Random) -> Tally:
    """One cell of the table, while the run was stopped: refused with both hashes, and the folder as it was."""
    tally, table = Tally(), where / "table.csv"
    rows = [[str(chance.randrange(100)) for _ in range(3)] for _ in range(60)]

    def write(cells: list[list[str]]) -> None:
        table.write_text("a,b,y\n" + "".join(",".join(row) + "\n" for row in cells))

    write(rows)
    run = ("data=csv", "data.path=table.csv", "data.target=y", *NET[:3], "logger=none", "figures=false")
    run = (*run, "hydra.run.dir=run", "callbacks=default")
    process = Forked(where, *run, "trainer.max_epochs=5")
    tally.expect(process.wait() == 0, process.said())
    for _ in range(count):
        other = [row.copy() for row in rows]
        other[chance.randrange(60)][chance.randrange(3)] = str(chance.randrange(100, 200))
        write(other)
        before = _content(where / "run")
        process = Forked(where, "resume=run", "hydra.run.dir=run", "trainer.max_epochs=9")
        code, said = process.wait(), process.said()
        tally.count += 1
        tally.expect(code == 2 and said.count("…") == 2 and "other rows, SHA-256" in said, f"{code}: {said}")
        tally.expect(_content(where / "run") == before, "the folder changed")
    write(rows)
    process = Forked(where, "resume=run", "hydra.run.dir=run", "trainer.max_epochs=9")
    tally.expect(process.wait() == 0, process.said())
    return tally


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


ROWS = [
    Row(
        "a signal",
        "SIGTERM, SIGHUP, SIGQUIT, Ctrl-C × lone, plain, folds, stack, durable sweep; code 128+n, status interrupted, "
        "goes on (lone and plain to the bit); a second one ends at once",
        21,
        3,
        signals,
    ),
    Row("divergence", "six ways; exit code 1, status diverged, a line why, sound checkpoints kept", 6, 2, diverging),
    Row("data changed while stopped", "one cell; refused with both SHA-256, the folder untouched", 20, 2, changed),
]
