"""python -m src.predict run=DIR input=FILE [output=FILE]: a prediction for every row."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door
from src.config.kinds import packages


@hydra.main(config_path="../conf", config_name="predict", execution_whitelist=ALLOWED)
def predict(cfg: DictConfig) -> None:
    """Writes the input's rows with a column of predictions."""
    from src.runs.predict import predict

    predict(cfg.run, cfg.input, cfg.output, cfg.checkpoint, packages(cfg.trust), cfg.interval)


if __name__ == "__main__":
    door(predict, "run", "input")
