"""Bad input in bulk: overrides, tables and run folders that Hypothesis makes up, each answered.

python -m tests.faults.bulk                              2,000 overrides, 1,000 tables, 500 folders
python -m tests.faults.bulk --overrides 200 --tables 0 --folders 0 --seed 3

Each command ends in success, or in one or two lines and exit code 1 or 2; in bounded time and memory; and leaves
nothing behind that was not asked for. What is not like that is printed, a line for each kind.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.commands import everything_under, run_here
from tests.faults.bulk_folders import broken
from tests.faults.bulk_tables import table_file

SECONDS = 20  # that a command may take
MEBIBYTES = 1024  # that a process may grow by
SHORT = ("logger=none", "figures=false", "trainer.max_epochs=1", "model.hidden=[4]")


class Slow(BaseException):
    """A command took too long."""


def answered(door: str, *arguments: str) -> tuple[str, str]:
    """How a command in this process and folder ended, in a word, and what is wrong with that; "" where nothing is."""
    before, started = _mebibytes(), time.monotonic()
    with tempfile.TemporaryFile("w+") as file:
        code: Any = None
        try:
            with _alarm(), _caught(file):
                code = run_here(door, *arguments)
        except Slow:
            return "slow", f"took more than {SECONDS} s"
        except BaseException as error:
            return "raised", f"raised {type(error).__name__}: {error}"
        file.seek(0)
        err = file.read()
    lines = [line for line in err.splitlines() if line.strip()]
    if (grown := _mebibytes() - before) > MEBIBYTES:
        return "large", f"grew by {grown} MiB"
    if "Traceback" in err or "Error executing" in err:
        return "traceback", lines[-1][:300]
    if any(ord(c) < 32 and c not in "\n\t" for c in err):
        return "control", f"printed a control character: {err!r}"
    if code == 0:
        return "success", ""
    if code not in (1, 2) or len(lines) not in (1, 2):
        return (
            "unanswered",
            f"exit code {code}, {len(lines)} lines: {lines[-3:]} after {time.monotonic() - started:.1f} s",
        )
    return "refused", ""


def _mebibytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@contextlib.contextmanager
def _caught(file: Any) -> Iterator[None]:
    """stderr goes to a file, also what a library's C code writes; stdout goes nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    before = os.dup(1), os.dup(2), sys.stdout, sys.stderr
    os.dup2(nowhere, 1)
    os.dup2(file.fileno(), 2)
    try:
        with open(os.dup(1), "w") as out, open(os.dup(2), "w") as err:
            sys.stdout, sys.stderr = out, err
            yield
    finally:
        sys.stdout, sys.stderr = before[2:]
        os.dup2(before[0], 1)
        os.dup2(before[1], 2)
        for descriptor in (*before[:2], nowhere):
            os.close(descriptor)


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def override_lines() -> st.SearchStrategy[tuple[str, ...]]:
    """One to three overrides: real keys and groups with values of any kind, typos, and noise."""
    from tests.config.test_answers import _line

    return st.randoms(use_true_random=False).map(lambda draw: tuple(_line(draw)))


def try_overrides(line: tuple[str, ...], scratch: Path) -> tuple[str, str]:
    """The training that the overrides ask for; one that they lengthen is stopped after a few steps."""
    said = answered("train", *SHORT[:3], "+trainer.max_time=00:00:00:05", "hydra.mode=RUN", *line)
    if said[0] == "refused" and (left := everything_under(scratch)):
        return "left", f"refused, and left {sorted(left)[:3]}"
    return said


def try_table(file: tuple[str, bytes], scratch: Path) -> tuple[str, str]:
    """Trains on a table; where that succeeds, evaluates the run and predicts the same rows."""
    name, content = file
    (scratch / name).write_bytes(content)
    said = answered("train", "data=csv", f"data.path={name}", "data.target=y", *SHORT, "hydra.run.dir=run")
    if diverged(scratch / "run"):
        return "diverged", ""
    if said[0] == "refused" and everything_under(scratch) != {name} and not (scratch / "run" / "summary.json").exists():
        return "left", f"refused, and left {sorted(everything_under(scratch) - {name})[:3]}"
    for door in (("evaluate", "run=run"), ("predict", "run=run", f"input={name}")) if said[0] == "success" else ():
        again = answered(*door)
        if again[1]:
            return again
        if again[0] != "success":
            return "odd", f"{door[0]} refuses what was trained on"
    return said


def try_folder(made: tuple[str, random.Random], scratch: Path, whole: Path) -> tuple[str, str]:
    """Breaks a copy of a run, or of a sweep, in a few places and asks for it."""
    kind, draw = made
    shutil.copytree(whole / kind, scratch / "run", symlinks=True)
    (scratch / "new.csv").write_text("wt,hp,name\n3,90,x\n2,60,y\n")
    what = broken(scratch / "run", draw)
    outside = {"new.csv", "run"}
    if kind in ("sweep", "study"):
        said = answered(*draw.choice((("report", "sweep=run"), ("runs", "folder=run"))))
    else:
        door = draw.choice((("evaluate", "run=run"), ("predict", "run=run", "input=new.csv"), ("train", "resume=run")))
        more = ("trainer.max_epochs=4", "hydra.run.dir=more") if door[0] == "train" else ()
        said = answered(*door, *more)
        if diverged(scratch / "more"):  # which is a result, told on standard output, and exit code 1
            said = "diverged", ""
        outside |= {"more"} if said[0] in ("success", "diverged") else set()
    left = {path.name for path in scratch.iterdir()} - outside
    if left:
        return "left", f"left {left} after {what}"
    return said[0], said[1] and f"{said[1]} after {what}"


def diverged(run: Path) -> bool:
    """Whether the exit code is for the result of a training."""
    return (run / "summary.json").is_file() and json.loads((run / "summary.json").read_text())["status"] == "diverged"


def whole_folders(folder: Path) -> Path:
    """A lone run, one with categories, an ensemble, a sweep without a study and one with it, to break copies of."""
    from tests.compose import trained

    rows = "".join(f"{i % 7},{'abc'[i % 3]},{'' if i % 5 else i},2020-01-{i % 28 + 1:02},{i}\n" for i in range(40))
    (folder / "rows.csv").write_text(f"a,b,c,d,y\n{rows}")
    short = ("logger=none", "trainer.max_epochs=2")
    trained(folder / "lone", "data.features=[wt,hp]", *short)
    csv = ("data=csv", f"data.path={folder / 'rows.csv'}", "data.target=y", "model.hidden=[4]", *short)
    trained(folder / "mixed", *csv)
    trained(folder / "folds", "folds=2", *short)
    for number in ("0", "1"):
        trained(folder / "sweep" / number, f"seed={number}", *short)
    swept = ("-m", "sweep=mlp", "hydra.sweeper.n_trials=2", f"hydra.sweep.dir={folder / 'study'}")
    assert answered("train", *swept, *short) == ("success", "")
    return folder


def collected(
    strategy: st.SearchStrategy[Any], attempt: Callable[[Any, Path], tuple[str, str]], count: int, seed: int
) -> tuple[Counter[str], dict[str, tuple[str, int]]]:
    """How often each ending occurred, and of each complaint an example and how often."""
    endings: Counter[str] = Counter()
    complaints: dict[str, tuple[str, int]] = {}
    home = os.getcwd()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def once(made: Any) -> None:
        scratch = Path(tempfile.mkdtemp())
        os.chdir(scratch)
        try:
            ending, complaint = attempt(made, scratch)
        finally:
            os.chdir(home)
            shutil.rmtree(scratch, ignore_errors=True)
        endings[ending] += 1
        if complaint:
            known = complaints.get(complaint[:80], (f"{complaint}  <-  {str(made)[:400]}", 0))
            complaints[complaint[:80]] = known[0], known[1] + 1

    once()
    return endings, complaints


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overrides", type=int, default=2000)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--folders", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = whole_folders(Path(folder)) if options.folders else Path(folder)
        names = st.sampled_from(("lone", "mixed", "folds", "sweep", "study"))
        kinds = st.tuples(names, st.randoms(use_true_random=False))
        rows: list[tuple[str, Any, Any, int]] = [
            ("overrides", override_lines(), try_overrides, options.overrides),
            ("tables", table_file(), try_table, options.tables),
            ("folders", kinds, lambda made, scratch: try_folder(made, scratch, whole), options.folders),
        ]
        bad = 0
        for name, strategy, attempt, count in (row for row in rows if row[-1]):
            started = time.monotonic()
            endings, complaints = collected(strategy, attempt, count, options.seed)
            said = ", ".join(f"{number} {ending}" for ending, number in endings.most_common())
            print(f"{name}: {sum(endings.values())} in {time.monotonic() - started:.0f} s: {said}", flush=True)
            for example, number in complaints.values():
                print(f"  {number} x {example}")
            bad += len(complaints)
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
