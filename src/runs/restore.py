"""A run folder back to a predictor and its data, from any working directory."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.adapters.garbage import as_ever
from src.config.keys import decides
from src.config.values import Config, container, flatten, targets
from src.data.table import Table
from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.folder_config import load_config
from src.secrets import masked_text

if TYPE_CHECKING:
    from torch import nn

    from src.data.encoder import Encoder
    from src.runs.ensemble import Ensemble
    from src.training.predictor import Predictor


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

    as_ever()  # what predicts has started
    state, encoder = read_checkpoint(path, "state_dict")
    levels = build.levels(cfg)
    if len(encoder.targets) != (asked := len(targets(cfg)) or 1):
        raise UserError(
            f"{path}: targets expected as in the run's configuration: {asked}, found {len(encoder.targets)}"
        )
    net = build.net(cfg, encoder.shape, copies=2)  # what is built, and what was read
    fill(net, state["state_dict"], f"{path}: does not fit the run's model")
    return Predictor(net, encoder, levels)


def origin(cfg: Config, rows: Table) -> dict[str, Any]:
    """What a run is trained on and by, in plain values: a checkpoint has it, for a run that goes on from there."""
    return {
        "rows": masked_text(rows.source),
        "sha256": rows.sha256,
        "optimizer": container(cfg.optimizer),
        "scheduler": container(cfg.scheduler),
        "configuration": configured(cfg),
    }


def configured(cfg: Config) -> str:
    """The SHA-256 of all that a training depends on in a configuration: runs that have the same are the same."""
    values = {key: value for key, value in flatten(container(cfg)).items() if decides(key)}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def read_checkpoint(path: Path, *parts: str) -> "tuple[dict[str, Any], Encoder]":
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


def fill(net: "nn.Module", weights: Any, said: str) -> None:
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
        raise UserError(f"{said} ({in_one_line(error)})") from None


def in_one_line(error: Exception) -> str:
    """The first two lines of a message: PyTorch's heading names the class, the next line what is wrong."""
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
