"""python -m src.evaluate run=DIR: a run's own figures, from its checkpoint."""

import hydra
from omegaconf import DictConfig

from src.door import ALLOWED, door
from src.kinds import packages


@hydra.main(config_path="../conf", config_name="evaluate", execution_whitelist=ALLOWED)
def evaluate(cfg: DictConfig) -> None:
    """Prints the metrics of a run folder."""
    from src.jobs.evaluate import evaluate

    evaluate(cfg.run, cfg.checkpoint, packages(cfg.trust))


if __name__ == "__main__":
    door(evaluate)
