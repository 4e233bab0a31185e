"""A job that returns at once: what is left is the sweep itself."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door


@hydra.main(config_path="../../conf", config_name="train", execution_whitelist=ALLOWED)
def noop(cfg: DictConfig) -> float:
    """The learning rate as the objective."""
    return float(cfg.optimizer.lr)


if __name__ == "__main__":
    door(noop)
