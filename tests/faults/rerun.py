"""Runs trials of a sweep again, each alone by its own command, and compares the objectives.

python -m tests.faults.rerun outputs/sweeps/lr-cars                 ten of them, drawn by chance
python -m tests.faults.rerun outputs/sweeps/lr-cars --runs 25 --seed 1
"""

import argparse
import json
import random
import shlex
import tempfile
from pathlib import Path
from typing import Any

from tests.commands import run_here

TOLERANCE = 1e-5


def rerun(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The summary of the run that a summary's command does, with ``folder`` as its run folder."""
    words = shlex.split(summary["command"])
    assert words[:3] == ["python", "-m", "src.train"], words
    run_here("train", *words[3:], f"hydra.run.dir={folder}", "figures=false")
    return json.loads((folder / "summary.json").read_text())


def gap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The relative difference of two objectives; 0 where both runs diverged, infinity where one did."""
    first, second = (summary["objective"]["value"] for summary in (one, other))
    if first is None or second is None:
        return 0.0 if first is second else float("inf")
    return abs(first - second) / abs(second)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    paths = sorted(options.sweep.glob("*/summary.json"))
    chosen = random.Random(options.seed).sample(paths, min(options.runs, len(paths)))
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for path in chosen:
            swept = json.loads(path.read_text())
            alone = rerun(swept, Path(folder) / path.parent.name)
            lines.append((gap(swept, alone), path.parent.name, swept["objective"], alone["objective"]))
    for difference, name, swept, alone in lines:
        print(f"run {name}: {swept['name']} {swept['value']} in the sweep, {alone['value']} alone: {difference:.1e}")
    largest = max(difference for difference, *_ in lines)
    print(f"{len(lines)} of {len(paths)} runs again, alone: largest relative difference {largest:.1e}")
    if largest > TOLERANCE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
