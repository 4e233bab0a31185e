"""SIGKILL at random moments, of lone runs and stacks, and while a checkpoint is written."""

import os
import random
import re
import time
from pathlib import Path

import torch

from src.runs.folder import RunFolder
from tests.faults.process import Forked
from tests.faults.row import Row, Tally
from tests.faults.same import differences

NET = ("model=mlp", "model.hidden=[8]", "model.dropout=0.1", "data.val_fraction=0.2", "data.batch_size=8")
STOPS = ("callbacks=early_stopping", "callbacks.early_stopping.patience=25", "logger=none")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULERS = ("none", "step", "cosine", "plateau", "onecycle")
STACK = ("-m", "sweep=seeds", "hydra/launcher=stacked", "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=8")
CLOSE = 1e-5  # what a stack of another width may differ by


def a_run(chance: random.Random) -> tuple[str, ...]:
    """A run of either way, any optimizer and any scheduler."""
    way = chance.choice(("auto", "1", "4"))
    return (
        *(*NET, *STOPS, f"optimizer={chance.choice(OPTIMIZERS)}", f"scheduler={chance.choice(SCHEDULERS)}"),
        *(f"seed={chance.randrange(100)}", f"trainer.max_epochs={chance.randint(30, 60)}"),
        *(f"trainer.steps_per_execution={way}", f"callbacks.checkpoints.every_n_epochs={chance.randint(1, 9)}"),
    )


def lone(where: Path, count: int, chance: random.Random) -> Tally:
    """Each run is killed up to five times, from its first moment on."""
    tally, number = Tally(), 0
    while tally.count < count:
        run, number = a_run(chance), number + 1
        whole, hurt = f"whole{number}", f"hurt{number}"
        began = time.monotonic()
        code = Forked(where, *run, f"hydra.run.dir={whole}").wait()
        took = time.monotonic() - began
        tally.expect(code == 0, f"{run} ended with {code}")
        again = (*run, f"hydra.run.dir={hurt}", f"resume={hurt}")
        for _ in range(min(5, count - tally.count)):
            process = Forked(where, *again)
            time.sleep(chance.uniform(0, took))
            tally.count += process.kill()
        _compare(tally, where, Forked(where, *again), hurt, whole)
    return tally


def writing(where: Path, count: int, chance: random.Random) -> Tally:
    """Each write takes a while, and the kill comes within it."""
    tally, run = Tally(), (*NET, "optimizer=adam", "logger=none", "figures=false", "trainer.max_epochs=40", "seed=1")
    run = (*run, "callbacks.checkpoints.every_n_epochs=1", "trainer.steps_per_execution=1")
    tally.expect(Forked(where, *run, "hydra.run.dir=whole").wait() == 0, "the whole run failed")
    number = 0
    while tally.count < count:
        number += 1
        hurt = f"hurt{number}"
        again = (*run, f"hydra.run.dir={hurt}", f"resume={hurt}")
        checkpoints = where / hurt / "checkpoints"
        for _ in range(min(8, count - tally.count)):
            process = Forked(where, *again, before=_slow)
            skip = chance.randint(0, 6)  # writes that are let through
            process.until(lambda: _epoch(checkpoints) >= skip and any(checkpoints.glob("*.partial")))  # noqa: B023
            time.sleep(chance.uniform(0, 0.02))
            tally.count += process.kill()
            for name in ("last", "best", "previous"):
                if (path := checkpoints / f"{name}.ckpt").exists():
                    tally.expect(_loads(path), f"{path} is torn")
        _compare(tally, where, Forked(where, *again), hurt, "whole")
    return tally


def stacked(where: Path, count: int, chance: random.Random) -> Tally:
    """A stack of eight, by a sweep that the same command goes on with."""
    tally, number = Tally(), 0
    while tally.count < count:
        number += 1
        run = (*STACK, *NET, f"optimizer={chance.choice(OPTIMIZERS)}", f"scheduler={chance.choice(SCHEDULERS)}")
        often = f"callbacks.checkpoints.every_n_epochs={chance.randint(5, 60)}"
        run = (*run, often, "logger=none", "trainer.max_epochs=300")
        whole, hurt = f"whole{number}", f"hurt{number}"
        began = time.monotonic()
        process = Forked(where, *run, f"hydra.sweep.dir={whole}")
        tally.expect(process.wait() == 0, f"the whole sweep: {process.said()}")
        took = time.monotonic() - began
        again = (*run, f"hydra.sweep.dir={hurt}")
        launched: list[str] = []
        for killed in [*[True] * min(5, count - tally.count), False]:
            held = _held(where / hurt)
            process = Forked(where, *again)
            if killed:
                time.sleep(chance.uniform(0.1, took))
                tally.count += process.kill()
            else:
                tally.expect(process.wait() == 0, process.said())
            launched += re.findall(r"Launching (\d+) job", process.said())
            tally.expect(not (process.code == 0 and held) or "checkpoint" in process.said(), f"{hurt} began anew")
        together = all(jobs == "8" for jobs in launched)
        for member in range(8):
            one, other = (where / name / str(member) for name in (hurt, whole))
            found = differences(one, other) if together else [] if _close(one, other) else ["not close"]
            tally.expect(not found, f"{one}: {launched}: {found}")
    return tally


def several(where: Path, count: int, chance: random.Random) -> Tally:
    """Folds and ensembles."""
    tally, number = Tally(), 0
    while tally.count < count:
        number += 1
        run = (
            *NET,
            "baselines=false",
            "logger=none",
            "trainer.max_epochs=200",
            f"optimizer={chance.choice(OPTIMIZERS)}",
        )
        run = (*run, f"callbacks.checkpoints.every_n_epochs={chance.randint(5, 40)}")
        run = (*run[:3], *run[4:], "folds=4") if chance.random() < 0.5 else (*run, "ensemble=4")
        whole, hurt = f"whole{number}", f"hurt{number}"
        began = time.monotonic()
        process = Forked(where, *run, f"hydra.run.dir={whole}")
        tally.expect(process.wait() == 0, f"the whole run: {process.said()}")
        took = time.monotonic() - began
        again = (*run, f"hydra.run.dir={hurt}", f"resume={hurt}")
        for _ in range(min(5, count - tally.count)):
            process = Forked(where, *again)
            time.sleep(chance.uniform(0, took))
            tally.count += process.kill()
        process = Forked(where, *again)
        tally.expect(process.wait() == 0, process.said())
        for member in range(4):
            one, other = (where / name / "members" / str(member) for name in (hurt, whole))
            found = differences(one, other)
            tally.expect(not found, f"{one}: {found}")
        metrics = [RunFolder(where / name).read_summary().get("metrics") for name in (hurt, whole)]
        tally.expect(metrics[0] == metrics[1], f"{hurt}: {metrics}")
    return tally


def _held(sweep: Path) -> bool:
    """Whether every member has a checkpoint, and none has ended: the stack of all goes on."""
    each = [sweep / str(member) for member in range(8)]
    held = all((path / "checkpoints" / "last.ckpt").exists() for path in each)
    return held and not any((path / "summary.json").exists() for path in each)


def _compare(tally: Tally, where: Path, process: Forked, hurt: str, whole: str) -> None:
    code = process.wait()
    found = [process.said()] if code else differences(where / hurt, where / whole)
    tally.expect(not found, f"{hurt}: {code}: {found}")


def _slow() -> None:
    flush = os.fsync

    def slow(descriptor: int) -> None:
        time.sleep(0.02)
        flush(descriptor)

    os.fsync = slow


def _epoch(checkpoints: Path) -> int:
    try:
        return int(torch.load(checkpoints / "best.ckpt", weights_only=True)["epoch"])
    except OSError:
        return 0


def _loads(path: Path) -> bool:
    try:
        return bool(torch.load(path, weights_only=True)["state_dict"])
    except Exception:
        return False


def _close(one: Path, other: Path) -> bool:
    first, second = RunFolder(one), RunFolder(other)
    if first.read_summary().get("status") != "completed" or len(first.read_metrics()["epoch"]) != 300:
        return False
    x, y = (torch.load(each.checkpoint("last"), weights_only=True)["state_dict"] for each in (first, second))
    return all(torch.allclose(x[name], y[name], rtol=CLOSE, atol=CLOSE) for name in y)


ROWS = [
    Row(
        "SIGKILL of a lone run",
        "random moments, engine and plain, optimizers × schedulers; the same command goes on: weights, optimizer, "
        "history, figures, metrics.csv to the bit",
        150,
        4,
        lone,
    ),
    Row(
        "SIGKILL of a stack of 8",
        "random moments, optimizers × schedulers; the same command goes on from its members' checkpoints, to the bit "
        f"where all train together, within {CLOSE:.0e} where halves do",
        50,
        2,
        stacked,
    ),
    Row(
        "SIGKILL of folds",
        "random moments, folds and ensembles; the same command goes on: each model and what they come to, to the bit",
        30,
        2,
        several,
    ),
    Row(
        "SIGKILL during a checkpoint",
        "the write slowed down, killed within it; each file is whole, and the run goes on to the bit",
        100,
        4,
        writing,
    ),
]
