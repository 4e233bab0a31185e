"""python -m src.report [run=DIR | runs=[DIR,…] | sweep=DIR]: a page on a run, on several, or on a sweep."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door


@hydra.main(config_path="../conf/report", config_name="report", execution_whitelist=ALLOWED)
def report(cfg: DictConfig) -> None:
    """Reports on a run, several or a sweep, finished or not; on the newest of them where none is named."""
    from src.reports.choose import report_on

    report_on(cfg)


if __name__ == "__main__":
    door(report, "sweep")
