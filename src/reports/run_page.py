"""report.html of one run, and of runs side by side."""

import os
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from src.checks.codes import Finding, fired
from src.data.table import listed
from src.errors import UserError
from src.reports.leaderboard import names_of, print_table, ranked
from src.reports.page import about_data, against_tiles, interval_note, page
from src.reports.pages.model import Page, Tile
from src.reports.pages.render import render
from src.reports.pages.run_section import metrics_grid, run_section
from src.reports.pages.subject import Opener, config_text
from src.reports.pages.svg import number
from src.reports.sweep_folder import folder_rows
from src.runs.files import shown_path, write_text
from src.runs.folder import RunFolder
from src.training.task import direction_of


def report_run(
    folder: RunFolder, output: Path | None = None, ignore: Collection[str] = (), trust: Collection[str] = ()
) -> Path:
    """Writes the page of a run, prints its findings, and returns the page's path.

    Args:
        folder: the run's.
        output: where to write; None: report.html inside the run's folder.
        ignore: codes of checks that are not told.
        trust: packages of the user's own whose nets the folder may name.

    Raises:
        UserError: the run has no summary yet, or the page cannot be written.
    """
    summary = folder.read_summary()
    if not summary:
        raise UserError(f"run={folder.path}: has no summary.json yet, so there is nothing to report on")
    data = summary.get("data") or {}
    title = f"{data.get('source', 'run')}: {listed(data.get('target', ''))}"
    chapter, answers, judged = run_section(folder, summary, Opener(trust), "run", "The run")
    findings = fired(answers, ignore)
    aim = summary.get("objective") or {}
    value = aim.get("value")
    name = str(aim.get("name", "objective"))
    tiles = [Tile(name, "none" if value is None else number(value), interval_note(name, judged) or summary["status"])]
    tiles += against_tiles(summary)
    best = f"best at {summary['best_epoch']:,}" if summary.get("best_epoch") else str(summary["status"])
    tiles.append(Tile("Epochs", f"{summary.get('epochs', 0):,}", f"{summary.get('steps', 0):,} steps, {best}"))
    seconds = (summary.get("seconds") or {}).get("total")
    if seconds is not None:
        tiles.append(Tile("Time", f"{seconds:.3g} s", f"{summary['seconds'].get('fit', 0):.3g} s of it training"))
    shown = shlex.quote(str(shown_path(folder.path)))
    commands = {"train it again": str(summary.get("command", ""))} if summary.get("command") else {}
    commands |= {
        "its figures again": f"python -m src.evaluate run={shown}",
        "predict": f"python -m src.predict run={shown} input=FILE.csv",
    }
    if "members" not in summary:  # which are resumed one by one
        longer = 2 * int(summary.get("epochs") or 1)
        commands["go on"] = f"python -m src.train resume={shown} trainer.max_epochs={longer}"
    text = render(
        Page(
            title=title.rstrip(": "),
            kind="run",
            asked=str(summary.get("command", "")),
            about=[*about_data(summary), *_status(summary)],
            tiles=tiles,
            findings=findings,
            board=metrics_grid(summary, "Figures by rows and model"),
            sections=(),
            runs=[chapter],
            commands=commands,
            config=config_text(folder),
            environment=summary.get("environment") or {},
        )
    )
    target = write(output or folder.path / "report.html", text)
    tell(findings)
    print(f"report: {shown_path(target)}")
    return target


def report_runs(
    folders: Sequence[RunFolder], output: Path, ignore: Collection[str] = (), trust: Collection[str] = ()
) -> Path:
    """Writes the page of runs side by side, ranked by their objective; prints the ranks, and returns the page's path.

    Raises:
        UserError: they have no objective in common, or the page cannot be written.
    """
    paths = [folder.path.resolve() for folder in folders]
    around = Path(os.path.commonpath([path.parent for path in paths]))
    rows = folder_rows(paths, around)
    kinds = {tuple(row.names) for row in rows if row.names}
    if len(kinds) != 1:
        said = "; ".join(", ".join(kind) for kind in sorted(kinds)) or "none has a result"
        raise UserError(f"runs=[…] are ranked by one objective, found {said}: objective=… chooses it when training")
    for row in rows:
        row.names = list(next(iter(kinds)))
    names = names_of(rows)
    rows = ranked(rows, [direction_of(name) for name in names])
    commands = {f"train run {row.folder} again": row.command for row in rows if row.command}
    text = page(f"{len(rows)} runs", None, rows, names, commands, (), around, ignore, trust)
    target = write(output, text)
    print_table(rows, ", ".join(names))
    print(f"report: {shown_path(target)}")
    return target


def _status(summary: dict[str, object]) -> list[str]:
    said = f"Status: {summary['status']}."
    return [f"{said} {summary['message']}" if summary.get("message") else said]


def tell(findings: Sequence[Finding]) -> None:
    """Prints a line for each finding."""
    for finding in findings:
        print(finding)


def write(path: Path, text: str) -> Path:
    """Writes a page.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UserError(f"output={path}: the report cannot be written ({error.strerror})") from error
    return path
