"""python -m src.runs: what ran, what two runs differ in, and an end to those that came to nothing."""

import hydra
from omegaconf import DictConfig, OmegaConf

from src.config.cli import ALLOWED, door


@hydra.main(config_path="../../conf/report", config_name="runs", execution_whitelist=ALLOWED)
def runs(cfg: DictConfig) -> None:
    """Lists runs, compares two of them, or removes some."""
    from src.runs.listing import Wanted, show

    if cfg.diff is not None:
        from src.runs.diff import diff

        diff(OmegaConf.to_container(cfg.diff) if OmegaConf.is_list(cfg.diff) else cfg.diff)
        return
    wanted = Wanted(cfg.folder, cfg.model, cfg.data, cfg.status, cfg.sort, cfg.limit)
    if cfg.clean is not None:
        from src.runs.clean import clean

        clean(wanted, cfg.clean, cfg.yes)
    else:
        show(wanted)


if __name__ == "__main__":
    door(runs)
