"""Many processes at once: on one folder, and each on its own within one second."""

import random
import time
from pathlib import Path

from src.runs.folder import RunFolder
from tests.faults.process import Forked
from tests.faults.row import Row, Tally

SHORT = ("trainer.max_epochs=3", "logger=none", "figures=false")
LONG = ("trainer.max_epochs=100000000", "logger=none", "figures=false")


def at_once(where: Path, count: int, chance: random.Random) -> Tally:
    """As many starts as fast as they can be made, without a folder being named."""
    tally = Tally()
    processes = []
    for number in range(count):
        home = where / "all"
        home.mkdir(exist_ok=True)
        processes.append(Forked(home, *SHORT, f"seed={number}", output=where / f"output{number}.txt"))
    for process in processes:
        tally.expect(process.wait(300) == 0, process.said())
        tally.count += 1
    folders = [path.parent for path in where.glob("all/outputs/train/*/*/summary.json")]
    seeds = sorted(RunFolder(path).read_summary()["seed"] for path in folders)
    tally.expect(seeds == list(range(count)), f"{len(folders)} folders of {count}")
    return tally


def on_one(where: Path, count: int, chance: random.Random) -> Tally:
    """A second one on the folder of a run that trains, and two at the same moment on a new one."""
    tally = Tally()
    first = Forked(where, *LONG, "hydra.run.dir=run")
    first.until((where / "run" / "metrics.csv").exists)
    for number in range(count // 2):
        more = ("resume=run",) if number % 2 else ()
        second = Forked(where, *LONG, "hydra.run.dir=run", *more, output=where / "second.txt")
        code = second.wait()
        tally.count += 1
        tally.expect(code == 2 and "another process is at work there" in second.said(), f"{code}: {second.said()}")
        tally.expect(not first.over(), "the first one ended")
    first.kill()
    for number in range(count - count // 2):
        pair = [
            Forked(where, *LONG, f"hydra.run.dir=new{number}", output=where / f"pair{place}.txt") for place in range(2)
        ]
        until = time.monotonic() + 60
        while not any(each.over() for each in pair) and time.monotonic() < until:
            time.sleep(0.01)
        tally.count += 1
        tally.expect(sorted(each.over() for each in pair) == [False, True], "both ended, or neither")
        tally.expect([each.code for each in pair if each.over()] == [2], "the second was not refused")
        for each in pair:
            each.kill()
    return tally


ROWS = [
    Row("starts within a second", "no folder named; each run has its own, and all are whole", 50, 4, at_once),
    Row("two processes on one folder", "the second is refused in a line and the first trains on", 20, 2, on_one),
]
