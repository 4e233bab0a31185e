"""python -m tests.benchmarks.picture FILE: seconds against number of trials, stacked, one by one and by hand."""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from tests.benchmarks.stacking import raw_search, search, seconds

_ONE_BY_ONE_UP_TO = 64  # beyond it the basic launcher only repeats itself
_COLOURS = {"stacked": "tab:blue", "raw loop (no folders)": "tab:red", "one by one": "0.45"}


def measure(counts: list[int], epochs: int) -> dict[str, dict[int, float]]:
    """Seconds from command to exit by side and number of trials, the sides in turn."""
    found: dict[str, dict[int, float]] = {name: {} for name in _COLOURS}
    for count in counts:
        found["stacked"][count] = seconds(search("stacked", count, epochs))
        found["raw loop (no folders)"][count] = seconds(raw_search(count, epochs))
        if count <= _ONE_BY_ONE_UP_TO:
            found["one by one"][count] = seconds(search("basic", count, epochs))
        print({name: round(times[count], 1) for name, times in found.items() if count in times}, flush=True)
    return found


def draw(found: dict[str, dict[int, float]], epochs: int) -> Figure:
    """The picture."""
    figure = Figure(figsize=(7.5, 4.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, times in found.items():
        axes.plot(list(times), list(times.values()), "o-", color=_COLOURS[name], label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(
        xlabel="trials", ylabel="seconds, from command to exit",
        title=f"A search over learning rates: cars, straight line, {epochs:,} epochs a trial",
    )  # fmt: skip
    counts = sorted({count for times in found.values() for count in times})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main() -> None:
    """Measures and draws."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.picture")
    parser.add_argument("file", type=Path, help="where the picture goes; its figures go beside it as JSON")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024])
    parser.add_argument("--epochs", type=int, default=1000)
    arguments = parser.parse_args()
    found = measure(arguments.counts, arguments.epochs)
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    draw(found, arguments.epochs).savefig(arguments.file)
    arguments.file.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
