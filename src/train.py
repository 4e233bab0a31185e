"""python -m src.train: one run, or with -m a sweep of runs."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from src.door import ALLOWED, door


@hydra.main(config_path="../conf", config_name="train", execution_whitelist=ALLOWED)
def train(cfg: DictConfig) -> float | list[float]:
    """Trains as configured and returns the objective."""
    from src.jobs.train import run

    return run(cfg)


def is_sweep(arguments: list[str]) -> bool:
    """Whether an experiment among the arguments is a sweep, which Hydra has to know before it composes."""
    folder = Path(__file__).parents[1] / "conf" / "experiment"
    chosen = [argument.partition("=")[2] for argument in arguments if argument.startswith("experiment=")]
    files = [folder / f"{name}.yaml" for name in chosen]
    return any(file.is_file() and OmegaConf.select(OmegaConf.load(file), "hydra.sweeper") for file in files)


if __name__ == "__main__":
    if is_sweep(sys.argv) and not any(argument.startswith("hydra.mode=") for argument in sys.argv):
        sys.argv.append("--multirun")
    door(train)
