"""python -m src.evaluate run=DIR: a run's own figures, from its checkpoint."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door
from src.config.kinds import packages


@hydra.main(config_path="../conf", config_name="evaluate", execution_whitelist=ALLOWED)
def evaluate(cfg: DictConfig) -> None:
    """Prints the metrics of a run folder."""
    from src.runs.evaluate import evaluate

    evaluate(cfg.run, cfg.checkpoint, packages(cfg.trust))


if __name__ == "__main__":
    door(evaluate, "run")
