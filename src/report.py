"""python -m src.report sweep=DIR: the leaderboard and the plots of a sweep again."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door


@hydra.main(config_path="../conf/report", config_name="report", execution_whitelist=ALLOWED)
def report(cfg: DictConfig) -> None:
    """Reports on a sweep folder, finished or not."""
    from src.reports.report import report
    from src.runs.find import find

    report(find(str(cfg.sweep), "sweep"), cfg.storage)


if __name__ == "__main__":
    door(report, "sweep")
