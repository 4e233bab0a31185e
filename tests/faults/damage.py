"""Damages copies of a finished run, file by file, and asks each for what it came to.

python -m tests.faults.damage                   500 damages
python -m tests.faults.damage --count 2000 --seed 1

A damage is refused in a line, is said in a note, or changes nothing. One that silently gives another answer, or a
traceback, is a breach.
"""

import argparse
import contextlib
import io
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.commands import run_here
from tests.compose import trained
from tests.faults.row import Row, Tally

NEW = "wt,hp\n" + "".join(f"{2 + i / 7},{90 + 3 * i}\n" for i in range(12))
RUN = ("model=mlp", "model.hidden=[8]", "data.features=[wt,hp]", "data.val_fraction=0.25", "trainer.max_epochs=4")
FILES = ("checkpoints/best.ckpt", ".hydra/config.yaml", "summary.json", "metrics.csv", ".hydra/hydra.yaml")
SHARES = (6, 2, 2, 1, 1)  # how often each is damaged


def _flip(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _zeros(content: bytes, draw: random.Random) -> bytes:
    place, size = draw.randrange(len(content)), draw.randint(1, 64)
    return (content[:place] + bytes(size) + content[place + size :])[: len(content)]


def _swap(content: bytes, draw: random.Random) -> bytes:
    """A sector that was written in another one's place."""
    size = min(64, len(content) // 4)
    one, other = draw.randrange(len(content) - size), draw.randrange(len(content) - size)
    return content[:one] + content[other : other + size] + content[one + size :]


def _append(content: bytes, draw: random.Random) -> bytes:
    return content + draw.randbytes(draw.randint(1, 100))


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _flip, _flip, _cut, _zeros, _swap, _append)


def made(folder: Path) -> Path:
    """A finished run, in a sweep folder of its own."""
    for number in ("0", "1"):
        trained(folder / number, *RUN, "logger=none", f"seed={number}")
    return folder


def asked(sweep: Path, file: str) -> tuple[int, str, str]:
    """Exit code, answer and stderr of the command that reads this file of run 0."""
    out, err, run = io.StringIO(), io.StringIO(), sweep / "0"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if file.endswith(".ckpt"):
            code = run_here(
                "predict", f"run={sweep / '0'}", f"input={sweep / 'new.csv'}", f"output={sweep / 'out.csv'}"
            )
            answer = (sweep / "out.csv").read_text() if code == 0 else ""
        elif file in ("summary.json", "metrics.csv"):
            code = run_here("report", f"sweep={sweep}")
            answer = _reported(sweep) if code == 0 else ""
        else:
            code = run_here("evaluate", f"run={run}")
            answer = out.getvalue()
    return code, answer, err.getvalue() + "".join(line for line in out.getvalue().splitlines(True) if "damaged" in line)


def _reported(sweep: Path) -> str:
    """What a report says of run 0, and its curves."""
    rows = [line for line in (sweep / "leaderboard.csv").read_text().splitlines() if ",0," in line or "rank" in line]
    curves = (sweep / "figures" / "loss_by_epoch.png").read_bytes() if (sweep / "figures").is_dir() else b""
    return "\n".join(rows) + curves.hex()


def damaged(count: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """File, damage and outcome of each: refused, said, same, harmless to the answer, or breached."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        whole = made(Path(scratch) / "whole")
        before = os.getcwd()
        os.chdir(scratch)
        try:
            copy = Path(scratch) / "copy"
            answers: dict[str, str] = {}
            for number in range(count):
                file = draw.choices(FILES, SHARES)[0]
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(whole, copy)
                (copy / "new.csv").write_text(NEW)
                if file not in answers:
                    code, answers[file], err = asked(copy, file)
                    assert code == 0, err
                    shutil.rmtree(copy)
                    shutil.copytree(whole, copy)
                    (copy / "new.csv").write_text(NEW)
                damage = draw.choice(DAMAGES)
                path = copy / "0" / file
                content = path.read_bytes()
                path.write_bytes(damage(content, draw))
                if path.read_bytes() == content:
                    yield file, damage.__name__, "same"
                    continue
                outcome = _outcome(*asked(copy, file), answers[file])
                if outcome.startswith("breached"):
                    outcome += f" (number {number} of seed {seed})"
                yield file, damage.__name__, outcome
        finally:
            os.chdir(before)


def _outcome(code: int, answer: str, err: str, expected: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    if "Traceback" in err or "Error executing" in err:
        return f"breached: {lines[-1]}"
    if code == 2 and len(lines) in (1, 2):
        return "refused"
    if code != 0:
        return f"breached: exit code {code}, {lines}"
    if answer == expected:
        return "same"
    # A damaged run of a sweep is told by what its row says.
    if "note:" in err or "damaged" in err or "damaged" in answer or ",unfinished," in answer:
        return "said"
    return "breached: another answer, and nothing said"


def bits(where: Path, count: int, chance: random.Random) -> Tally:
    """Damages of a folder of runs, whatever they hit."""
    tally = Tally()
    for file, damage, outcome in damaged(count, chance.randrange(1 << 30)):
        tally.count += 1
        tally.expect(not outcome.startswith("breached"), f"{file} {damage}: {outcome}")
    return tally


ROWS = [
    Row(
        "bits flipped, files cut",
        "one damage to one file of a finished run or sweep: refused in a line, said, or the same answer",
        500,
        14,
        bits,
    )
]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    breaches = []
    for file, damage, outcome in damaged(options.count, options.seed):
        counts[file, outcome.partition(":")[0]] += 1
        if outcome.startswith("breached"):
            breaches.append(f"{file} {damage}: {outcome}")
    outcomes = ("refused", "said", "same", "breached")
    print(f"{'file':24}" + "".join(f"{outcome:>10}" for outcome in outcomes))
    for file in FILES:
        print(f"{file:24}" + "".join(f"{counts[file, outcome]:>10}" for outcome in outcomes))
    print(*breaches, sep="\n")
    if breaches:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
