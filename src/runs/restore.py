"""A run folder back to a predictor and its data, from any working directory."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from src.config.kinds import check_folder
from src.config.values import Config, container
from src.data.table import Table
from src.errors import NothingLeft, UserError, first_line
from src.runs.folder import TABLES, RunFolder

if TYPE_CHECKING:
    from src.data.encoder import Encoder
    from src.runs.ensemble import Ensemble
    from src.training.plain import Plain
    from src.training.predictor import Predictor

log = logging.getLogger(__name__)


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
            cfg.data.path = str(_rows_of(folder, started_in / cfg.data.path))
    return cfg


def _rows_of(folder: RunFolder, path: Path) -> Path:
    """Where a run's rows are: a table that lies in its folder, or its sweep's, went with it wherever that went."""
    if path.match(TABLES) and not path.is_file():
        around = [parent / path.name for parent in (folder.path, *folder.path.absolute().parents[:2])]
        return next((each for each in around if each.is_file()), path)
    return path


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

    state, encoder = _read(path, "state_dict")
    weights = {name.removeprefix("net."): value for name, value in state["state_dict"].items()}
    levels = build.levels(cfg)
    net = build.net(cfg, encoder.shape)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit the run's model ({_in_one_line(error)})") from None
    return Predictor(net, encoder, levels)


def origin(cfg: Config, rows: Table) -> dict[str, Any]:
    """What a run is trained on and by, in plain values: a checkpoint has it, for a run that goes on from there."""
    return {
        "rows": rows.source,
        "sha256": rows.sha256,
        "optimizer": container(cfg.optimizer),
        "scheduler": container(cfg.scheduler),
    }


def resumable(
    cfg: Config, target: Path, module: "Plain", rows: Table, batches: int, callbacks: Mapping[str, Any]
) -> Path:
    """The checkpoint that a run goes on from; ``cfg.resume`` names its folder.

    Args:
        cfg, module, rows: of the run.
        target: where it goes.
        batches: optimizer steps of its epochs.
        callbacks: of the run, by name.

    Raises:
        NothingLeft: it has all the epochs or steps that this run asks for.
        UserError: ``resume`` is no run folder or ``target`` itself, or its last checkpoint is missing, damaged
            or of a run with another model, other rows or another optimizer or scheduler.
    """
    folder = RunFolder.existing(cfg.resume, "resume")
    if folder.path.resolve() == target.resolve():
        raise UserError(f"resume={cfg.resume}: is this run's own folder, expected another one")
    path = folder.checkpoint("last")
    state, encoder = _read(path, "state_dict", "loops", "optimizer_states", "lr_schedulers")
    if encoder.feature_names != rows.feature_names:
        raise UserError(f"{path}: was trained on {encoder.feature_names}, this run reads {rows.feature_names}")
    if encoder.target_name != rows.target_name:
        raise UserError(f"{path}: learned {encoder.target_name!r}, the target of this run is {rows.target_name!r}")
    try:
        module.net.load_state_dict({n.removeprefix("net."): value for n, value in state["state_dict"].items()})
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit this run's model ({_in_one_line(error)})") from None
    before, now = state.get("Run"), origin(cfg, rows)
    if before is None:
        log.warning("%s: an older checkpoint, which does not say what rows it was trained on: not checked", path)
    else:
        for group in ("optimizer", "scheduler"):
            found, asked = (each[group].get("_target_") for each in (before, now))
            if found != asked:
                raise UserError(f"{path}: was trained with {group}._target_={found}, this run asks for {asked}")
        if before["sha256"] != now["sha256"]:
            raise UserError(
                f"{path}: was trained on other rows, SHA-256 {before['sha256'][:12]}… of {before['rows']}, "
                f"found {now['sha256'][:12]}… of {now['rows']}"
            )
    epochs = int(state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    steps = int(state["global_step"])
    if said := _nothing_left(cfg, state, epochs, steps, callbacks):
        raise NothingLeft(f"resume={cfg.resume}: {said}")
    if before is not None and not before["whole"]:
        raise UserError(
            f"{path}: trainer.max_steps ended it within epoch {epochs}, after optimizer step {steps}: "
            "only a run of whole epochs can be gone on from"
        )
    if cfg.trainer.max_steps != -1 and steps != epochs * batches:
        raise UserError(
            f"{path}: trainer.max_steps={cfg.trainer.max_steps} counts {batches} optimizer steps an epoch, "
            f"the run had {steps} in {epochs}: trainer.max_epochs says how long it is"
        )
    return path


def _nothing_left(
    cfg: Config, state: dict[str, Any], epochs: int, steps: int, callbacks: Mapping[str, Any]
) -> str | None:
    """Why the training of a checkpoint is over, and what makes it longer; None where it is not over."""
    from src.training.early_stopping import EarlyStopping

    for name, done in (("epochs", epochs), ("steps", steps)):
        most = cfg.trainer[f"max_{name}"]
        if most != -1 and done >= most:
            return f"has {done} {name} already, nothing is left to do; a larger trainer.max_{name} than {most} goes on"
    for name, callback in callbacks.items():
        waited = state["callbacks"].get(callback.state_key, {}).get("waited", 0)
        if isinstance(callback, EarlyStopping) and waited >= callback.patience:
            return (
                f"stopped early after {epochs} epochs, nothing is left to do; "
                f"a larger callbacks.{name}.patience than {callback.patience} goes on"
            )
    return None


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


def _in_one_line(error: Exception) -> str:
    """The first two lines of a message: PyTorch's heading names the class, the next line what is wrong."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
