"""A run folder back to a predictor and its data, from any working directory."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config.values import Config, container
from src.data.table import Table
from src.errors import NothingLeft, UserError
from src.runs.folder import RunFolder
from src.runs.folder_config import load_config
from src.secrets import masked_text

if TYPE_CHECKING:
    from torch import nn

    from src.data.encoder import Encoder
    from src.runs.ensemble import Ensemble
    from src.training.plain import Plain
    from src.training.predictor import Predictor

log = logging.getLogger(__name__)


def load_predictor(
    folder: RunFolder, cfg: Config, checkpoint: str, trust: Collection[str] = ()
) -> "Predictor | Ensemble":
    """What a run predicts with: its net and encoder, or of a run of several models the mean of theirs.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it holds another net.
    """
    if members_of(folder, cfg):
        from src.runs.ensemble import Ensemble

        return Ensemble(load_models(folder, cfg, checkpoint, trust))
    return load_one(folder, cfg, checkpoint)


def load_models(
    folder: RunFolder, cfg: Config, checkpoint: str, trust: Collection[str] = ()
) -> "list[Predictor | Ensemble]":
    """The models of a run of several, each fold's or seed's: where several runs were put together, a mixture each.

    Raises:
        UserError: see ``load_predictor``; or it is not known how they are put together.
    """
    from src.runs.ensemble import Ensemble

    members = [load_one(each, load_config(each, ("model",), trust), checkpoint) for each in folder.members()]
    folds = cfg.get("folds") or len(members)
    if len(members) == folds:
        return list(members)
    weights = folder.read_summary().get("weights") or []
    if len(weights) * folds != len(members):
        raise UserError(f"{folder.path}: has {len(members)} models for {folds} folds, and summary.json no weights")
    return [Ensemble(members[place : place + len(weights)], weights) for place in range(0, len(members), len(weights))]


def members_of(folder: RunFolder, cfg: Config) -> list[RunFolder]:
    """The runs of the models that predict together, as many as the configuration asks for.

    Raises:
        UserError: there are others.
    """
    from src.runs.ensemble import is_several

    found, asked = folder.members(), (cfg.get("folds") or cfg.get("ensemble") or 0) if is_several(cfg) else 0
    mixed = len(found) > asked > 0 and len(found) == asked * len(folder.read_summary().get("weights") or [])
    if len(found) != asked and not mixed:
        raise UserError(f"{folder.path}: its configuration asks for {asked or 'no'} members, found {len(found)}")
    return found


def load_one(folder: RunFolder, cfg: Config, checkpoint: str) -> "Predictor":
    """The net with the weights of a checkpoint, and its encoder.

    Raises:
        UserError: there is no such checkpoint, it is damaged, or it holds another net.
    """
    path = folder.checkpoint(checkpoint)
    from src.config import build
    from src.training.predictor import Predictor

    state, encoder = _read(path, "state_dict")
    levels = build.levels(cfg)
    net = build.net(cfg, encoder.shape, copies=2)  # what is built, and what was read
    _fill(net, state["state_dict"], f"{path}: does not fit the run's model")
    return Predictor(net, encoder, levels)


def origin(cfg: Config, rows: Table) -> dict[str, Any]:
    """What a run is trained on and by, in plain values: a checkpoint has it, for a run that goes on from there."""
    return {
        "rows": masked_text(rows.source),
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
    _fill(module.net, state["state_dict"], f"{path}: does not fit this run's model")
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
    try:
        epochs = int(state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
        steps = int(state["global_step"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not a whole checkpoint ({type(error).__name__})") from None
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
    from src.data.encoder import Encoder
    from src.training.checkpoint_reading import read

    try:
        state = read(path)
        for part in parts:
            state[part]
        return state, Encoder.from_state_dict(state["DataModule"])
    except UserError as error:
        raise UserError(f"{path}: does not hold the encoder of a run ({error})") from None
    except Exception as error:
        # A truncated file shows as any of a dozen errors, by where it was cut.
        raise UserError(f"{path}: is not a whole checkpoint ({type(error).__name__})") from None


def _fill(net: "nn.Module", weights: Any, said: str) -> None:
    """Loads a checkpoint's weights into a net of the same form and precision.

    Raises:
        UserError: they are others; ``said`` begins the message.
    """
    from torch import Tensor

    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{said} (its weights are no tensors)")
    named = {str(name).removeprefix("net."): value for name, value in weights.items()}
    for name, own in net.state_dict().items():
        if name in named and named[name].dtype != own.dtype:
            raise UserError(f"{said} ({name} is of {named[name].dtype}, expected {own.dtype})")
    try:
        net.load_state_dict(named)
    except RuntimeError as error:
        raise UserError(f"{said} ({_in_one_line(error)})") from None


def _in_one_line(error: Exception) -> str:
    """The first two lines of a message: PyTorch's heading names the class, the next line what is wrong."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
