"""What ``python -m src.report`` reports on: the run, the runs or the sweep that is named, else the newest."""

from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.checks.codes import checked
from src.config.kinds import packages
from src.errors import UserError
from src.runs.find import find, newest
from src.runs.folder import RunFolder

_SEVERAL = Path("outputs/reports")


def report_on(cfg: DictConfig) -> None:
    """Writes and prints a report.

    Args:
        cfg: of conf/report/report.yaml.

    Raises:
        UserError: more than one is named, there is none, or what is named is none.
    """
    asked: Any = OmegaConf.to_container(cfg, resolve=True)
    named = [key for key in ("run", "runs", "sweep") if asked[key] is not None]
    if len(named) > 1:
        raise UserError(f"expected one of run=, runs= and sweep=, found {' and '.join(f'{key}=' for key in named)}")
    ignore, trust = checked(asked["checks"]["ignore"]), packages(cfg.trust)
    output = Path(str(asked["output"])) if asked["output"] is not None else None
    if asked["runs"] is not None:
        from src.reports.run_page import report_runs

        if not isinstance(asked["runs"], list) or len(asked["runs"]) < 2:
            raise UserError(f"runs must be a list of run folders, [DIR,DIR], found {asked['runs']!r}")
        folders = [RunFolder.existing(path, "runs") for path in asked["runs"]]
        report_runs(folders, output or _SEVERAL / f"{datetime.now():%Y-%m-%d/%H-%M-%S}.html", ignore, trust)
        return
    if asked["run"] is None:
        sweep = newest() if asked["sweep"] is None else find(str(asked["sweep"]), "sweep")
        if not _is_run(sweep):
            if output is not None:
                raise UserError(f"output={output} is of run= and runs=; the page of a sweep goes to its own folder")
            from src.reports.report import report

            report(sweep, cfg.storage, ignore=ignore, trust=trust)
            return
        asked["run"] = str(sweep)
    from src.reports.run_page import report_run

    report_run(RunFolder.existing(asked["run"]), output, ignore, trust)


def _is_run(path: Path) -> bool:
    """Whether a folder is a run's and no multirun's."""
    return (path / ".hydra" / "config.yaml").is_file() and not (path / "multirun.yaml").is_file()
