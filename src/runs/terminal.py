"""The table at the end of a run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from src.adapters.rich_console import Console
from src.checks.codes import Finding
from src.runs.unit import of_reference
from src.training.task import METRICS, suffixes

_SLOPES = 40  # parameters that a terminal shows


def print_summary(summary: dict[str, Any], folder: Path, findings: Sequence[Finding] = ()) -> None:
    """Metrics by split, the learned line beside the least-squares one, what to beware of, time, folder, what next."""
    data = summary["data"]
    if "members" in summary:
        print_models(summary, len(summary["members"]), data["source"], data["target"])
    else:
        print_metrics(summary, data["source"], data["target"], list(data["splits"]))
    console = _console()
    for finding in findings:
        console.print(str(finding))
    seconds = summary["seconds"]
    best = f", best at epoch {summary['best_epoch']}" if "best_epoch" in summary else ""
    console.print(
        f"{summary['status']} after {summary['epochs']} epochs ({summary['steps']} steps){best}: "
        f"{seconds['fit']:.2f} s training, {seconds['total']:.2f} s in all"
    )
    if "stopped" in summary:
        console.print(f"{summary['status']}: {summary['stopped']}")
    elif early := sum("stopped" in member for member in summary.get("members", ())):
        console.print(f"stopped early: {early} of {len(summary['members'])} models; members/N/summary.json says why")
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    console.print(f"folder: {shown}")
    console.print(f"curves: tensorboard --logdir {shown if shown.is_absolute() else (*shown.parts, '.')[0]}")


def print_models(result: dict[str, Any], models: int, source: str, target: str | list[str]) -> None:
    """What models come to together, beside the baselines: figures by split, and what the models differ by.

    Of several targets there is a table for each, and one of the means over them.
    """
    console = _console()
    metrics, baselines, deviations = result["metrics"], result["baselines"], result["deviations"]
    if not metrics:
        return
    shown = [f"{split}/{name}" for split in ("oof", "val", "test") for name in ("rmse", "r2")]
    shown = [name for name in shown if name in metrics and not (name.startswith("val/") and "oof/r2" in metrics)]
    for what, end in suffixes(target).items():
        table = Table(title=f"{source}: {what}", title_justify="left")
        table.add_column("")
        for name in shown:
            table.add_column(name, justify="right")
        for row, figures in {f"{models} models": metrics, **baselines}.items():
            table.add_row(row, *(f"{figures[f'{name}{end}']:.6g}" for name in shown))
        console.print(table)
    if "val/rmse" in metrics:
        console.print(f"val/rmse {metrics['val/rmse']:.6g} ± {deviations['val/rmse']:.2g} from model to model")
    if "coverage" in (interval := result.get("interval", {})):
        for name, half, share in each_interval(target, interval):
            said = f"{interval['level']:.0%} interval{f' of {name}' if isinstance(target, list) else ''}: ± {half:.6g}"
            console.print(f"{said}, which holds {share:.0%} of the test rows")


def each_interval(target: str | list[str], interval: dict[str, Any]) -> Iterator[tuple[str, float, float | None]]:
    """The half width, and the coverage where it is known, of each target's interval in a summary.json."""
    parts: list[Any] = [target, interval["half_width"], interval.get("coverage")]
    names, halves, shares = parts if isinstance(target, list) else ([part] for part in parts)
    yield from zip(names, halves, shares or [None] * len(names), strict=True)


def print_metrics(result: dict[str, Any], source: str, target: str | list[str], splits: list[str]) -> None:
    """Metrics by split, and the learned line beside the least-squares one; for several targets as ``print_models``."""
    console = _console()
    metrics, learned, reference = result["metrics"], result["parameters"], result["reference"]
    for what, end in suffixes(target).items() if metrics else ():
        table = Table(title=f"{source}: {what}", title_justify="left")
        table.add_column("")
        for name in METRICS:
            table.add_column(name, justify="right")
        for split in splits:
            table.add_row(split, *(f"{metrics[f'{split}/{name}{end}']:.6g}" for name in METRICS))
        if reference:
            known = of_reference(reference, end)
            fitted = (f"{known[name]:.6g}" if name in known else "" for name in METRICS)
            table.add_row("least squares, train", *fitted)
        for split in ("val", "test"):
            for name, figures in result.get("baselines", {}).items():
                if f"{split}/mse{end}" in figures:
                    cells = (f"{figures[f'{split}/{each}{end}']:.6g}" for each in METRICS)
                    table.add_row(f"{name}, {split}", *cells)
        console.print(table)
    if interval := result.get("interval"):
        (low, high), split = interval["levels"], splits[-1]
        held = f"hold {interval['coverage'][split]:.0%} of the {split} rows"
        console.print(f"the quantiles {low:g} and {high:g} {held} between them")
    if learned:
        table = Table()
        for name in ("", "learned", "least squares", "gap"):
            table.add_column(name, justify="right" if name else "left")
        for name, value in list(learned.items())[:_SLOPES]:
            known = reference.get(name, float("nan"))
            table.add_row(name, f"{value:.6f}", f"{known:.6f}", f"{value - known:+.6f}")
        console.print(table)
        if len(learned) > _SLOPES:
            console.print(f"{len(learned) - _SLOPES} more slopes: summary.json")


def _console() -> Console:
    # No markup: a column may be called price [/kg].
    return Console(highlight=False, soft_wrap=True, markup=False)
