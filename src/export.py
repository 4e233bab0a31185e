"""python -m src.export run=DIR: a run as files that predict without it, and a model card."""

import hydra
from omegaconf import DictConfig

from src.config.cli import ALLOWED, door
from src.config.kinds import packages


@hydra.main(config_path="../conf", config_name="export", execution_whitelist=ALLOWED)
def export(cfg: DictConfig) -> None:
    """Writes model.onnx, model.pt2 or both, and MODEL_CARD.md."""
    from src.exporting.export import export

    export(
        *(cfg.run, cfg.checkpoint, cfg.format, cfg.output, packages(cfg.trust)),
        *(cfg.interval, cfg.rows, cfg.tolerance),
    )


if __name__ == "__main__":
    door(export, "run", "output")
