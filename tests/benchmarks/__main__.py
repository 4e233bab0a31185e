"""python -m tests.benchmarks [--row NAME] [--rounds N] [--size X] [--json FILE]: the tables of docs/benchmarks.md."""

import argparse
import json
import logging
import platform
import statistics
from dataclasses import asdict
from datetime import date
from pathlib import Path

from tests.benchmarks import single, stacking, sweeping
from tests.benchmarks.timing import Row

ROWS = single.ROWS | stacking.ROWS | sweeping.ROWS


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument(
        "--row",
        choices=list(ROWS),
        action="append",
        help="one row; may be given again; without it, those of a single run",
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of both sides (default 5)")
    parser.add_argument("--size", type=float, default=1.0, help="scales rows and epochs, for a quick look")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    print(f"{date.today()}, {machine()}; median (min to max) of {arguments.rounds} rounds, both sides in turn\n")
    print("| row | ours | theirs | ratio | must | aim | reached |\n| --- | --- | --- | --- | --- | --- | --- |")
    rows: list[Row] = []
    for name in arguments.row or single.ROWS:
        for row in ROWS[name](arguments.rounds, arguments.size):
            rows.append(row)
            print(f"| {row.what.replace(' | ', ' against ')} | {_spread(row.ours, row.unit)} | "
                  f"{_spread(row.theirs, row.unit)} | {row.ratio:.2f} | {row.must:g} | {row.aim:g} | {row.verdict} |",
                  flush=True)  # fmt: skip
    if arguments.json:
        figures = [asdict(row) | {"ratio": row.ratio, "reached": row.verdict} for row in rows]
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": figures}, indent=2) + "\n")


def machine() -> str:
    """Processor, cores and versions."""
    import os
    from importlib.metadata import version

    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        processor = lines[0].partition(": ")[2] if lines else processor
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}"


def _spread(values: list[float], unit: str) -> str:
    return f"{statistics.median(values):.3g} {unit} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
