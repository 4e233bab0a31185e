"""python -m src.train: one run, or with -m a sweep of runs."""

import hydra
from omegaconf import DictConfig

from src.door import ALLOWED, door


@hydra.main(config_path="../conf", config_name="train", execution_whitelist=ALLOWED)
def train(cfg: DictConfig) -> float | list[float]:
    """Trains as configured and returns the objective."""
    from src.jobs.train import run

    return run(cfg)


if __name__ == "__main__":
    door(train)
