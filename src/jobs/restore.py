"""A run folder back to a predictor and its data, from any working directory."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.errors import UserError
from src.kinds import check_folder
from src.results.folder import RunFolder

if TYPE_CHECKING:
    from src.data.encoder import Encoder
    from src.training.plain import Plain
    from src.training.predictor import Predictor


def load_config(
    folder: RunFolder, groups: Sequence[str] = ("model", "loss", "data"), trust: Collection[str] = ()
) -> DictConfig:
    """The run's resolved configuration; a relative data path is read from where the run was started.

    A folder is data: what these groups may construct is on a closed list, and is checked here, before anything
    that it names is imported. Whoever builds other groups of it has to name them.

    Args:
        folder: the run's.
        groups: what is going to be built.
        trust: packages of the user's own whose classes the folder may name.

    Raises:
        UserError: the file is not the configuration of a run, or names what a folder may not.
    """
    try:
        cfg = OmegaConf.load(folder.config)
        started_in = Path(str(OmegaConf.select(OmegaConf.load(folder.hydra), "hydra.runtime.cwd")))
    except Exception as error:
        raise UserError(f"run={folder.path}: .hydra cannot be read ({str(error).splitlines()[0]})") from None
    if not isinstance(cfg, DictConfig) or "model" not in cfg or "data" not in cfg:
        raise UserError(f"run={folder.path}: .hydra/config.yaml is not the configuration of a run")
    try:
        check_folder(cfg, groups, trust)
    except UserError as error:
        raise UserError(f"run={folder.path}: {error}") from None
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
    from src import build
    from src.training.predictor import Predictor

    state, encoder = _read(path, "state_dict")
    weights = {name.removeprefix("net."): value for name, value in state["state_dict"].items()}
    net = build.net(cfg, len(encoder.feature_names))
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit the run's model ({_in_one_line(error)})") from None
    return Predictor(net, encoder)


def resumable(resume: str, target: Path, module: "Plain", feature_names: list[str]) -> Path:
    """The checkpoint that a run in ``target`` goes on from.

    Raises:
        UserError: ``resume`` is no run folder or ``target`` itself, or its last checkpoint is missing, damaged
            or of a run with another model, other columns or another optimizer or scheduler.
    """
    folder = RunFolder.existing(resume, "resume")
    if folder.path.resolve() == target.resolve():
        raise UserError(f"resume={resume}: is this run's own folder, expected another one")
    path = folder.checkpoint("last")
    state, encoder = _read(path, "state_dict", "loops", "optimizer_states", "lr_schedulers")
    if encoder.feature_names != feature_names:
        raise UserError(f"{path}: was trained on {encoder.feature_names}, this run reads {feature_names}")
    try:
        module.net.load_state_dict({n.removeprefix("net."): value for n, value in state["state_dict"].items()})
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit this run's model ({_in_one_line(error)})") from None
    if (key := _changed(state, module)) is not None:
        raise UserError(f"{path}: was trained with another {key}, expected the same to go on with")
    return path


def _read(path: Path, *parts: str) -> "tuple[dict[str, Any], Encoder]":
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


def _changed(state: dict[str, Any], module: "Plain") -> str | None:
    """Which of optimizer and scheduler is not the one that a checkpoint was trained with."""
    make = None if module.by_hand is not None else module.make_optimizer
    options = [set(group) for group in make(module.parameters()).state_dict()["param_groups"]] if make else []
    saved = [set(group) for part in state["optimizer_states"] for group in part["param_groups"]]
    # A scheduler adds options of its own to those of the optimizer.
    if len(options) != len(saved) or any(mine - other for mine, other in zip(options, saved, strict=True)):
        return "optimizer"
    return "scheduler" if bool(state["lr_schedulers"]) != (module.schedule is not None) else None


def _in_one_line(error: Exception) -> str:
    """The first two lines of a message: PyTorch's heading names the class, the next line what is wrong."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
