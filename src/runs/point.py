"""Where a training that was stopped goes on: its last checkpoint that is whole, held against what is asked now."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config.optimization import is_by_hand
from src.config.values import Config
from src.data.partition import Partition
from src.data.table import Table, one_or_all
from src.errors import NothingLeft, UserError
from src.runs.ensemble import is_several, members
from src.runs.folder import RunFolder
from src.runs.restore import configured, fill, origin, read_checkpoint
from src.runs.shapes import CHECKPOINT, misfits
from src.runs.status import has_result, is_over
from src.training.checkpoint_files import save
from src.training.checkpoints import best_checkpoint
from src.training.history import History
from src.training.stack import Lone

if TYPE_CHECKING:
    from src.data.encoder import Encoder
    from src.training.plain import Plain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """Where a run goes on: a checkpoint, and what had been done by then.

    ``ended`` says how the training ended where it did, so that only its results are still to be written.
    """

    path: Path
    epochs: int
    steps: int
    ended: str | None = None

    def finish(self, member: Lone, part: Partition, history: History, checkpoints: Path) -> None:
        """Puts everything into the state in which the training ended, and writes what it did not come to write.

        Args:
            member, part, history: of the run, as they begin.
            checkpoints: its folder of them.
        """
        state, encoder = read_checkpoint(self.path, "state_dict", "Run")
        part.use(encoder)
        member.net.load_state_dict({n.removeprefix("net."): value for n, value in state["state_dict"].items()})
        history.load_best(state.get("History", {}), member.pack)
        history.end(0, self.ended or "completed", self.steps, self.epochs)
        history.last = member.held()
        state["epoch"], state["Run"]["ended"] = self.epochs, self.ended
        checkpoints.mkdir(exist_ok=True)
        save(state, checkpoints / "last.ckpt")
        save(best_checkpoint(state, self.epochs), checkpoints / "best.ckpt")


def resumable(
    cfg: Config, source: RunFolder, module: "Plain", rows: Table, batches: int, callbacks: Mapping[str, Any], own: bool
) -> Point:
    """Where a run goes on.

    Args:
        cfg, module, rows: of the run.
        source: whose checkpoint it goes on from.
        batches: optimizer steps of its epochs.
        callbacks: of the run, by name.
        own: whether the source is the run's own folder: a training that had stopped early there is not begun again.

    Raises:
        NothingLeft: it has all the epochs or steps that this run asks for, and its results.
        UserError: its last checkpoint, and the one before, are missing, damaged, or of a run with another model,
            other rows or another optimizer or scheduler.
    """
    path, state, encoder = _last(source)
    _check_columns(path, encoder, rows)
    before = state.get("Run")
    if before is None:
        log.warning("%s: an older checkpoint, which does not say what rows it was trained on: not checked", path)
    else:
        _check_origin(path, before, origin(cfg, rows), cfg.get("allow_changed_data", False))
    best = {f"net.{name}": value for name, value in state.get("History", {}).get("state_dict", {}).items()}
    for weights in (*([best] if best else ()), state["state_dict"]):
        fill(module.net, weights, f"{path}: does not fit this run's model")
    if not state["optimizer_states"] and not is_by_hand(cfg):
        raise UserError(f"{path}: is not a whole checkpoint (optimizer_states)")
    epochs, steps = done(state)
    ended, said = _nothing_left(cfg, state, epochs, steps, callbacks)
    noted = (before or {}).get("ended")
    if (said or (own and noted == "stopped early")) and not is_over(source.read_summary().get("status")):
        return Point(path, epochs, steps, noted if has_result(noted) else ended)
    if said:
        raise NothingLeft(f"resume={source.path}: {said}")
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
    return Point(path, epochs, steps)


def was_killed(folder: RunFolder, cfg: Config) -> bool:
    """Whether a folder holds the beginning of this very run, with a checkpoint to go on from; of several models, of one
    of them."""
    if is_over(folder.read_summary().get("status")):
        return False
    if is_several(cfg):
        each = enumerate(own for own, _ in members(cfg))
        return any(same_run(folder.member(place), own) for place, own in each)
    return same_run(folder, cfg)


def same_run(folder: RunFolder, cfg: Config) -> bool:
    """Whether a folder has a checkpoint of a run with this configuration."""
    if not folder.begun():
        return False
    try:
        _, state, _ = _last(folder)
    except UserError:
        return False
    return bool(state.get("Run", {}).get("configuration") == configured(cfg))


def standing(folder: RunFolder, cfg: Config, rows: Table) -> dict[int, Path] | None:
    """Where a run of this configuration that was stopped can go on: its checkpoints by the epochs that they have.

    None where its training was over, so that only its results are still to be written.

    Raises:
        UserError: it was trained on other rows.
    """
    found: dict[int, Path] = {}
    if not folder.begun() or is_over(folder.read_summary().get("status")):
        return found
    now = origin(cfg, rows)
    for name in ("last", "previous"):
        path = folder.checkpoints / f"{name}.ckpt"
        try:
            state, _ = whole(path)
        except UserError:
            continue  # there is none, or it is damaged
        if state.get("Run", {}).get("configuration") != now["configuration"]:
            continue
        _check_origin(path, state["Run"], now, False)
        if is_over(state["Run"].get("ended")):
            return None
        found.setdefault(done(state)[0], path)
    return found


def learned(source: RunFolder, rows: Table) -> "Encoder":
    """The encoder of a run's last checkpoint, for rows that may be others.

    Raises:
        UserError: there is no whole checkpoint, or the rows have other columns.
    """
    path, _, encoder = _last(source)
    _check_columns(path, encoder, rows)
    return encoder


def done(state: Mapping[str, Any]) -> tuple[int, int]:
    """Epochs and optimizer steps of a whole checkpoint."""
    return state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"], state["global_step"]


def whole(path: Path) -> "tuple[dict[str, Any], Encoder]":
    """A checkpoint that can be gone on from, and its encoder.

    Raises:
        UserError: it is none.
    """
    state, encoder = read_checkpoint(path, "state_dict")
    if odd := next(misfits(state, CHECKPOINT), None):
        raise UserError(f"{path}: is not a whole checkpoint ({odd[1:]})")
    return state, encoder


def _check_columns(path: Path, encoder: "Encoder", rows: Table) -> None:
    before, now = (repr(one_or_all(each.target_names)) for each in (encoder, rows))
    if before != now:
        raise UserError(f"{path}: learned {before}, the target of this run is {now}")
    try:
        encoder.recoder(rows.columns)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _check_origin(path: Path, before: Mapping[str, Any], now: Mapping[str, Any], other_rows: bool) -> None:
    for group in ("optimizer", "scheduler"):
        found, asked = (each[group].get("_target_") for each in (before, now))
        if found != asked:
            raise UserError(f"{path}: was trained with {group}._target_={found}, this run asks for {asked}")
    if before["sha256"] != now["sha256"]:
        said = (
            f"{path}: was trained on other rows, SHA-256 {before['sha256'][:12]}… of {before['rows']}, "
            f"found {now['sha256'][:12]}… of {now['rows']}"
        )
        if not other_rows:
            raise UserError(f"{said}; allow_changed_data=true goes on all the same")
        log.warning("%s: going on all the same, with the encoder of those", said)


def _last(source: RunFolder) -> "tuple[Path, dict[str, Any], Encoder]":
    """The last checkpoint that is whole: what came before a damaged one is not lost."""
    previous = source.checkpoints / "previous.ckpt"
    try:
        path = source.checkpoint("last")
        return path, *whole(path)
    except UserError as error:
        if not previous.is_file():
            raise
        found = previous, *whole(previous)
        log.warning("%s; going on from the one before, %s", error, previous)
        return found


def _nothing_left(
    cfg: Config, state: dict[str, Any], epochs: int, steps: int, callbacks: Mapping[str, Any]
) -> tuple[str, str | None]:
    """How the training of a checkpoint ended, and in words what makes it longer; None where it is not over."""
    from src.training.early_stopping import EarlyStopping

    for name, done in (("epochs", epochs), ("steps", steps)):
        most = cfg.trainer[f"max_{name}"]
        if most != -1 and done >= most:
            said = f"has {done} {name} already, nothing is left to do"
            return "completed", f"{said}; a larger trainer.max_{name} than {most} goes on"
    for name, callback in callbacks.items():
        waited = state["callbacks"].get(callback.state_key, {}).get("waited", 0)
        if isinstance(callback, EarlyStopping) and waited >= callback.patience:
            said = f"stopped early after {epochs} epochs, nothing is left to do"
            return "stopped early", f"{said}; a larger callbacks.{name}.patience than {callback.patience} goes on"
    return "completed", None
