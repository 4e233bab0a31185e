"""python -m tests.faults: every fault that a run is promised to stand, done to real ones; a table says what came out.

python -m tests.faults                       all of it, under fifteen minutes on two cores
python -m tests.faults --only SIGKILL        the rows whose name has that word
python -m tests.faults --share 0.1           a tenth of each count

Ends with 1 where a promise was not kept. Every process is forked from one that has its imports.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from tests.faults import damage, disk, ends, kills, many, sweeps
from tests.faults.process import warm
from tests.faults.row import Row, Tally

_LANES = 2


def rows(where: Path) -> list[Row]:
    """All of them; those of a full disk need a folder to try it in."""
    return [*kills.ROWS, *sweeps.ROWS, *ends.ROWS, *disk.rows(where), *many.ROWS, *damage.ROWS]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a word of the rows' names")
    parser.add_argument("--share", type=float, default=1.0, help="of each count")
    parser.add_argument("--minutes", type=float, default=60, help="after which no further row is begun")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    where = Path(tempfile.mkdtemp(prefix="plumbline-"))
    began = time.monotonic()
    warm()
    chosen = [row for row in rows(where) if options.only.lower() in row.fault.lower()]
    _in_lanes(chosen, where, options.share, options.seed, began + options.minutes * 60)
    unmet = show(chosen, where)
    print(f"{time.monotonic() - began:.0f} s" + (f"; folders are left in {where}" if unmet else ""))
    if unmet:
        raise SystemExit(1)
    shutil.rmtree(where, ignore_errors=True)


def show(chosen: list[Row], where: Path) -> int:
    """Prints the rows that were done, and below what was not kept; returns how much that is."""
    done = [(row, *_read(_home(where, place))) for place, row in enumerate(chosen) if _home(where, place).is_dir()]
    print("| fault | how | count | result |\n| --- | --- | --- | --- |")
    for row, tally, seconds in done:
        said = "as promised" if not tally.unmet else f"{len(tally.unmet)} UNMET"
        print(f"| {row.fault} | {row.how} | {tally.count} | {said}, {seconds:.0f} s |")
    unmet = [(row, text) for row, tally, _ in done for text in tally.unmet]
    for row, text in unmet:
        print(f"{row.fault}: {text}")
    if len(done) < len(chosen):
        print(f"not done: {', '.join(row.fault for row in chosen if row not in [each[0] for each in done])}")
    return len(unmet)


def _home(where: Path, place: int) -> Path:
    return where / f"row{place}"


def _in_lanes(chosen: list[Row], where: Path, share: float, seed: int, until: float) -> None:
    """Does the rows, so many at a time, the longest first."""
    waiting = sorted(range(len(chosen)), key=lambda place: chosen[place].count)
    running: dict[int, int] = {}
    while running or (waiting and time.monotonic() < until):
        while waiting and len(running) < _LANES and time.monotonic() < until:
            place = waiting.pop()
            home = _home(where, place)
            home.mkdir()
            sys.stdout.flush()
            pid = os.fork()
            if not pid:
                _do(chosen[place], home, max(1, round(chosen[place].count * share)), random.Random(seed + place))
            running[pid] = place
        pid, _ = os.wait()
        place = running.pop(pid)
        print(f"done: {chosen[place].fault}", file=sys.stderr, flush=True)


def _do(row: Row, home: Path, count: int, chance: random.Random) -> None:
    """A row in a process of its own, which ends here."""
    began, tally = time.monotonic(), Tally()
    try:
        tally = row.run(home, count, chance)
    except BaseException:
        tally.unmet.append(" ".join(traceback.format_exc().split())[-600:])
    finally:
        (home / "tally.json").write_text(json.dumps(asdict(tally) | {"seconds": time.monotonic() - began}))
        os._exit(0)


def _read(home: Path) -> tuple[Tally, float]:
    path = home / "tally.json"
    if not path.is_file():
        return Tally(0, ["the row itself was ended"]), 0.0
    said = json.loads(path.read_text())
    return Tally(said["count"], said["unmet"]), said["seconds"]


if __name__ == "__main__":
    main()
