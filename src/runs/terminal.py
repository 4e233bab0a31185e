"""The table at the end of a run."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from src.training.task import METRICS

_SLOPES = 40  # parameters that a terminal shows


def print_summary(summary: dict[str, Any], folder: Path) -> None:
    """Metrics by split, the learned line beside the least-squares one, time, folder and what to do next."""
    data = summary["data"]
    print_metrics(summary, data["source"], data["target"], list(data["splits"]))
    console = _console()
    seconds = summary["seconds"]
    best = f", best at epoch {summary['best_epoch']}" if "best_epoch" in summary else ""
    console.print(
        f"{summary['status']} after {summary['epochs']} epochs ({summary['steps']} steps){best}: "
        f"{seconds['fit']:.2f} s training, {seconds['total']:.2f} s in all"
    )
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    console.print(f"folder: {shown}")
    console.print(f"curves: tensorboard --logdir {shown if shown.is_absolute() else (*shown.parts, '.')[0]}")


def print_metrics(result: dict[str, Any], source: str, target: str, splits: list[str]) -> None:
    """Metrics by split, and the learned line beside the least-squares one."""
    console = _console()
    metrics, learned, reference = result["metrics"], result["parameters"], result["reference"]
    if metrics:
        table = Table(title=f"{source}: {target}", title_justify="left")
        table.add_column("")
        for name in METRICS:
            table.add_column(name, justify="right")
        for split in splits:
            table.add_row(split, *(f"{metrics[f'{split}/{name}']:.6g}" for name in METRICS))
        if reference:
            known = {"mse": reference["mse"], "rmse": reference["mse"] ** 0.5, "r2": reference["r2"]}
            fitted = (f"{known[name]:.6g}" if name in known else "" for name in METRICS)
            table.add_row("least squares, train", *fitted)
        console.print(table)
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
