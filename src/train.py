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
    """Whether an experiment or a sweep is asked for without -m, which Hydra has to know before it composes.

    Not where hydra.mode is given, or a flag such as --cfg or --help.
    """
    if any(argument.startswith(("-", "hydra.mode=")) for argument in arguments):
        return False
    if any(argument.startswith("sweep=") and argument != "sweep=null" for argument in arguments):
        return True
    folder = Path(__file__).parents[1] / "conf" / "experiment"
    chosen = [argument.partition("=")[2] for argument in arguments if argument.startswith("experiment=")]
    files = [folder / f"{name}.yaml" for name in chosen]
    return any(file.is_file() and OmegaConf.select(OmegaConf.load(file), "hydra.sweeper") for file in files)


if __name__ == "__main__":
    if is_sweep(sys.argv[1:]):
        sys.argv.append("--multirun")
    door(train)
