"""A run folder back to a predictor and its data, from any working directory."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.kinds import check_folder
from src.config.values import Config, container
from src.data.table import Table
from src.errors import UserError, first_line
from src.runs.folder import RunFolder

if TYPE_CHECKING:
    from src.data.encoder import Encoder
    from src.runs.ensemble import Ensemble
    from src.training.predictor import Predictor


def load_config(
    folder: RunFolder,
    groups: Sequence[str] = ("model", "loss", "data"),
    trust: Collection[str] = (),
    key: str = "run",
) -> DictConfig:
    """The run's resolved configuration; a relative data path is read from where the run was started.

    A folder is data: what these groups may construct is on a closed list, and is checked here, before anything
    that it names is imported. Whoever builds other groups of it has to name them.

    Args:
        folder: the run's.
        groups: what is going to be built.
        trust: packages of the user's own whose classes the folder may name.
        key: what the folder was named by.

    Raises:
        UserError: the file is not the configuration of a run, or names what a folder may not.
    """
    try:
        cfg = OmegaConf.load(folder.config)
        started_in = Path(str(OmegaConf.select(OmegaConf.load(folder.hydra), "hydra.runtime.cwd")))
    except Exception as error:
        raise UserError(f"{key}={folder.path}: .hydra cannot be read ({first_line(error)})") from None
    if not isinstance(cfg, DictConfig) or "model" not in cfg or "data" not in cfg:
        raise UserError(f"{key}={folder.path}: .hydra/config.yaml is not the configuration of a run")
    try:
        check_folder(cfg, groups, trust)
    except UserError as error:
        raise UserError(f"{key}={folder.path}: {error}") from None
    if "path" in cfg.data:
        with open_dict(cfg):
            cfg.data.path = str(started_in / cfg.data.path)
    return cfg


def load_predictor(
    folder: RunFolder, cfg: Config, checkpoint: str, trust: Collection[str] = ()
) -> "Predictor | Ensemble":
    """What a run predicts with: its net and encoder, or of a run of several models the mean of theirs.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it holds another net.
    """
    if members := folder.members():
        from src.runs.ensemble import Ensemble

        return Ensemble([load_one(each, load_config(each, ("model",), trust), checkpoint) for each in members])
    return load_one(folder, cfg, checkpoint)


def load_one(folder: RunFolder, cfg: Config, checkpoint: str) -> "Predictor":
    """The net with the weights of a checkpoint, and its encoder.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it holds another net.
    """
    path = folder.checkpoint(checkpoint)
    from src.config import build
    from src.training.predictor import Predictor

    state, encoder = read_checkpoint(path, "state_dict")
    weights = {name.removeprefix("net."): value for name, value in state["state_dict"].items()}
    net = build.net(cfg, encoder.shape)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit the run's model ({in_one_line(error)})") from None
    return Predictor(net, encoder)


def origin(cfg: Config, rows: Table) -> dict[str, Any]:
    """What a run is trained on and by, in plain values: a checkpoint has it, for a run that goes on from there."""
    return {
        "rows": rows.source,
        "sha256": rows.sha256,
        "optimizer": container(cfg.optimizer),
        "scheduler": container(cfg.scheduler),
    }


def read_checkpoint(path: Path, *parts: str) -> "tuple[dict[str, Any], Encoder]":
    """A checkpoint that holds these parts, and its encoder."""
    import torch

    from src.data.encoder import Encoder

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        for part in parts:
            state[part]
        return state, Encoder.from_state_dict(state["DataModule"])
    except Exception as error:
        # A truncated file shows as any of a dozen errors, by where it was cut.
        raise UserError(f"{path}: is not a whole checkpoint ({type(error).__name__})") from None


def in_one_line(error: Exception) -> str:
    """The first two lines of a message: PyTorch's heading names the class, the next line what is wrong."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
