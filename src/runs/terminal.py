"""The table at the end of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from src.adapters.rich_console import Console
from src.checks.codes import Finding
from src.training.task import METRICS

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


def print_models(result: dict[str, Any], models: int, source: str, target: str) -> None:
    """What models come to together, beside the baselines: figures by split, and what the models differ by."""
    console = _console()
    metrics, baselines, deviations = result["metrics"], result["baselines"], result["deviations"]
    if not metrics:
        return
    shown = [f"{split}/{name}" for split in ("oof", "val", "test") for name in ("rmse", "r2")]
    shown = [name for name in shown if name in metrics and not (name.startswith("val/") and "oof/r2" in metrics)]
    table = Table(title=f"{source}: {target}", title_justify="left")
    table.add_column("")
    for name in shown:
        table.add_column(name, justify="right")
    for row, figures in {f"{models} models": metrics, **baselines}.items():
        table.add_row(row, *(f"{figures[name]:.6g}" for name in shown))
    console.print(table)
    if "val/rmse" in metrics:
        console.print(f"val/rmse {metrics['val/rmse']:.6g} ± {deviations['val/rmse']:.2g} from model to model")
    if "coverage" in (interval := result.get("interval", {})):
        said = f"{interval['level']:.0%} interval: ± {interval['half_width']:.6g}"
        console.print(f"{said}, which holds {interval['coverage']:.0%} of the test rows")


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
        for split in ("val", "test"):
            for name, figures in result.get("baselines", {}).items():
                if f"{split}/mse" in figures:
                    table.add_row(f"{name}, {split}", *(f"{figures[f'{split}/{each}']:.6g}" for each in METRICS))
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
