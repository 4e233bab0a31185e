"""A run folder back to a predictor and its data, from any working directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.errors import UserError
from src.results.folder import RunFolder

if TYPE_CHECKING:
    from src.training.predictor import Predictor


def load_config(folder: RunFolder) -> DictConfig:
    """The run's resolved configuration; a relative data path is read from where the run was started.

    Raises:
        UserError: the file is not the configuration of a run.
    """
    try:
        cfg = OmegaConf.load(folder.config)
        started_in = Path(str(OmegaConf.select(OmegaConf.load(folder.hydra), "hydra.runtime.cwd")))
    except Exception as error:
        raise UserError(f"run={folder.path}: .hydra cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(cfg, DictConfig) or "model" not in cfg or "data" not in cfg:
        raise UserError(f"run={folder.path}: .hydra/config.yaml is not the configuration of a run")
    if "path" in cfg.data:
        with open_dict(cfg):
            cfg.data.path = str(started_in / cfg.data.path)
    return cfg


def load_predictor(folder: RunFolder, cfg: DictConfig, checkpoint: str) -> "Predictor":
    """The net with the weights of a checkpoint, and its encoder.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it holds another net.
    """
    path = folder.checkpoint(checkpoint)
    import torch

    from src import build
    from src.data.encoder import Encoder
    from src.training.predictor import Predictor

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        encoder = Encoder.from_state_dict(state["DataModule"])
        weights = {name.removeprefix("net."): value for name, value in state["state_dict"].items()}
    except Exception as error:
        # A truncated file shows as any of a dozen errors, by where it was cut.
        raise UserError(f"{path}: is not a whole checkpoint ({type(error).__name__})") from None
    net = build.net(cfg, len(encoder.feature_names))
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit the run's model ({str(error).splitlines()[0]})") from None
    return Predictor(net, encoder)
