"""Disks that are full, read-only or taken away."""

import builtins
import errno
import io
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from src.runs.folder import RunFolder
from tests.faults.process import Forked
from tests.faults.row import Row, Tally
from tests.faults.same import differences

RUN = (
    *("model=mlp", "model.hidden=[8]", "optimizer=adam", "data.val_fraction=0.2", "data.batch_size=8"),
    *("trainer.max_epochs=60", "callbacks.checkpoints.every_n_epochs=20"),
)
LONG = (*RUN, "trainer.max_epochs=100000000", "logger=none")


def injected(where: Path, count: int, chance: random.Random) -> Tally:
    """No space at each file that is opened for writing, in turn; then on in the same folder."""
    tally = Tally()
    whole = Forked(where, *RUN, "hydra.run.dir=whole")
    tally.expect(whole.wait() == 0, whole.said())
    for number in range(count):
        run, mark = f"run{number}", where / f"mark{number}"
        process = Forked(where, *RUN, f"hydra.run.dir={run}", before=partial(_no_space_at, number, run, mark))
        _one_line(tally, process, f"write {number}")
        if not mark.exists():  # there are no more writes
            break
        tally.count += 1
        _go_on(tally, where, run, where / run)
    return tally


def _no_space_at(number: int, run: str, mark: Path) -> None:
    """Has the opening of one file under the run's folder fail, and then every other for as long as it lasts."""
    opened, seen = io.open, [0]

    def full(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+") and isinstance(file, (str, Path)) and run in Path(file).parts:
            seen[0] += 1
            if seen[0] > number:
                mark.touch()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        return opened(file, mode, *arguments, **options)

    io.open = builtins.open = full  # type: ignore[assignment]


def small(where: Path, count: int, chance: random.Random) -> Tally:
    """A file system that is too small, then larger: the same command goes on."""
    tally = Tally()
    whole = Forked(where, *RUN, "hydra.run.dir=whole")
    tally.expect(whole.wait() == 0, whole.said())
    for number in range(count):
        disk = where / f"disk{number}"
        with mounted(disk, f"size={chance.randrange(16, 400)}k"):
            process = Forked(where, *RUN, f"hydra.run.dir={disk}/run")
            _one_line(tally, process, f"disk {number}")
            tally.count += 1
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            _go_on(tally, where, f"{disk}/run", disk / "run")
    return tally


def taken(where: Path, count: int, chance: random.Random) -> Tally:
    """The folder is deleted, or nothing in it can be written any more, while the run trains."""
    tally = Tally()
    often = "callbacks.checkpoints.every_n_seconds=0.2"
    for number in range(count):
        run, mark = where / f"run{number}", where / f"mark{number}"
        process = Forked(where, *LONG, often, f"hydra.run.dir={run}", before=partial(_read_only_from, run, mark))
        last = run / "checkpoints" / "last.ckpt"
        tally.expect(process.until(last.exists), f"{number}: {process.said()}")
        time.sleep(chance.uniform(0, 0.5))
        if gone := number % 2 == 0:
            away = run.rename(where / f"away{number}")  # at one stroke: what is being written would be left behind
            shutil.rmtree(away)
        else:
            mark.touch()
        code = process.wait(30)
        tally.count += 1
        tally.expect(code in (1, 2) and _lines(process) == 1, f"{number}: {code}: {process.said()}")
        tally.expect(run.exists() != gone, f"{number}: the folder is {'back' if gone else 'gone'}")
        if not gone:
            tally.expect(bool(torch.load(last, weights_only=True)["state_dict"]), f"{number}: the checkpoint is gone")
    return tally


def _read_only_from(run: Path, mark: Path) -> None:
    """Has the system refuse to open, rename and make anything under a folder as soon as there is a mark.

    A file system in use cannot be made read-only from outside while train.log is open.
    """

    def refusing(call: Any, writes: Callable[..., bool]) -> Any:
        def refused(path: Any, *arguments: Any, **options: Any) -> Any:
            inside = isinstance(path, (str, Path)) and Path(path).absolute().is_relative_to(run)
            if inside and writes(*arguments, **options) and mark.exists():
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return call(path, *arguments, **options)

        return refused

    def by_mode(mode: str = "r", *_: Any, **__: Any) -> bool:
        return bool(set(mode) & set("wax+"))

    io.open = builtins.open = refusing(io.open, by_mode)  # type: ignore[assignment]
    os.open = refusing(os.open, lambda flags, *_, **__: bool(flags & (os.O_WRONLY | os.O_RDWR)))
    for name in ("replace", "rename", "mkdir", "unlink"):
        setattr(os, name, refusing(getattr(os, name), lambda *_, **__: True))


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory, as long as the block lasts."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount(where: Path) -> bool:
    """Whether this process may."""
    try:
        with mounted(where / "tried", "size=64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def _one_line(tally: Tally, process: Forked, what: str) -> None:
    """A result, with warnings at most; or one line and exit code 1 or 2."""
    code = process.wait()
    tally.expect("Traceback" not in process.said(), f"{what}: {process.said()}")
    tally.expect(
        code == 0 or (code in (1, 2) and "No space left" in process.said()), f"{what}: {code}: {process.said()}"
    )


def _lines(process: Forked) -> int:
    """Lines that are neither progress nor Python's own."""
    shown = [line for line in process.said().splitlines() if line.strip() and not line.startswith(("epoch", "<frozen"))]
    return len(shown)


def _go_on(tally: Tally, where: Path, run: str, folder: Path) -> None:
    """The same command, with room, ends as the run that always had some."""
    if RunFolder(folder).read_summary().get("status") == "completed":
        return  # a picture or a curve at most was left out
    process = Forked(where, *RUN, f"hydra.run.dir={run}", f"resume={run}")
    code = process.wait()
    found = [process.said()] if code else differences(folder, where / "whole")
    tally.expect(not found, f"{run}: {code}: {found}")


def rows(where: Path) -> list[Row]:
    """Those that can be done here."""
    found = [
        Row(
            "no space left",
            "at each file in turn that is opened for writing; one line or a warning, then on to the bit",
            60,
            3,
            injected,
        ),
        Row(
            "the folder deleted or read-only",
            "while it trains; one line, exit code 1 or 2; it stays deleted, or its checkpoint whole",
            10,
            2,
            taken,
        ),
    ]
    if can_mount(where):
        found += [
            Row(
                "a disk that is too small",
                "16 to 400 KB; one line or a warning, then enlarged and on to the bit",
                20,
                2,
                small,
            ),
        ]
    return found
