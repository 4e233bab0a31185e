"""One run: from a checked configuration and its table to a run folder that describes itself."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig

from src import build
from src.data.table import Table
from src.jobs.environment import environment
from src.jobs.restore import resumable
from src.results.folder import RunFolder
from src.results.line import largest_stable_lr, least_squares
from src.results.metrics import larger_is_better, regression_metrics
from src.training.history import History
from src.training.predictor import Predictor
from src.training.record import Record, Watcher
from src.training.regressor import Regressor
from src.training.threads import threads, threads_for

if TYPE_CHECKING:
    from src.data.module import DataModule

log = logging.getLogger(__name__)


def fit(
    cfg: DictConfig,
    rows: Table,
    folder: RunFolder,
    command: str,
    overrides: Sequence[str],
    figures: bool,
    watchers: Sequence[Watcher] = (),
) -> dict[str, Any]:
    """Trains, evaluates, draws, and writes summary.json last.

    Args:
        cfg: checked and resolved.
        rows: what ``build.table`` read.
        folder: where everything goes.
        command, overrides: how this run was asked for.
        figures: whether to draw.
        watchers: asked after each epoch whether to prune.

    Returns:
        The summary. ``status`` is completed, diverged, pruned or interrupted.

    Raises:
        UserError: something in the configuration cannot be built.
    """
    started = time.perf_counter()
    data = build.datamodule(cfg, rows)
    record = build.record(cfg, data, list(watchers))
    module = build.module(cfg, data, record)
    callbacks = [build.construct(node, f"callbacks.{name}") for name, node in (cfg.callbacks or {}).items()]
    loggers = [build.construct(node, f"logger.{name}") for name, node in (cfg.logger or {}).items()]
    with quiet():
        trainer = build.trainer(cfg, [*callbacks, History(folder, record)], loggers, data.span)
    checkpoint = resumable(cfg.resume, folder.path, module, rows.feature_names) if cfg.resume else None
    if trainer.is_global_zero:
        folder.clear()
    for part in (*callbacks, *loggers):
        bind(part, folder, record)
    if reason := build.why_plain(cfg):
        log.info("plain path, one optimizer step per execution: %s", reason)

    fit_started = time.perf_counter()
    number = threads_for(
        sum(parameter.numel() for parameter in module.parameters()), data.batch_size, cfg.trainer.threads
    )
    with interruptible(record), quiet(), threads(number):
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning's answer to a second Ctrl-C
            raise KeyboardInterrupt from None
    seconds = {"fit": time.perf_counter() - fit_started}

    status = record.stopped or "completed"
    summary: dict[str, Any] = {
        "status": status,
        "command": command,
        "overrides": list(overrides),
        "seed": cfg.seed,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
    }
    net = module.net if isinstance(module, Regressor) else module
    if record.best is not None:
        net.load_state_dict(record.best["weights"])
        summary["best_epoch"] = record.best["epoch"]
    predictor = Predictor(net, data.encoder)
    summary |= outcome(predictor, data, build.objective(cfg), status)
    if len(aims := build.objectives(cfg)) > 1:
        summary["objectives"] = [objective_of(summary["metrics"], aim) for aim in aims]
    if status == "diverged":
        summary["message"] = diverged(cfg, data, record.diverged_at)
    summary["seconds"] = seconds
    summary["data"] = {
        "source": rows.source,
        "rows": len(rows),
        "splits": {name: len(part) for name, part in data.rows.items() if len(part)},
        "features": rows.feature_names,
        "target": rows.target_name,
        "sha256": rows.sha256,
    }
    summary["environment"] = environment(str(trainer.strategy.root_device), number)
    if trainer.is_global_zero:
        from src.jobs.draw import draw, write_dashboard

        pictures = draw(cfg, folder, predictor, data, module, status) if figures else {}
        for logger in loggers:
            write_dashboard(logger, cfg, predictor, data, summary, pictures)
        seconds["total"] = time.perf_counter() - started
        folder.write_summary(summary)
    return summary


def bind(part: Any, folder: RunFolder, record: Record) -> None:
    """Gives our own callbacks and loggers what only a run knows."""
    from src.training.checkpoints import Checkpoints
    from src.training.progress import Progress
    from src.training.tensorboard import TensorBoard

    if isinstance(part, Checkpoints):
        part.bind(folder.checkpoints, record)
    elif isinstance(part, Progress):
        part.bind(record)
    elif isinstance(part, TensorBoard):
        part.bind(folder.path)


def outcome(predictor: Predictor, data: "DataModule", objective: str, status: str) -> dict[str, Any]:
    """Metrics by split, the objective, learned parameters and the least-squares reference.

    A diverged run has no metrics, and its objective is infinitely bad.
    """
    metrics: dict[str, float] = {}
    if status != "diverged":
        for name in data.splits():
            pairs = ((predictor(features), target) for features, target in data.chunks(name))
            figures = regression_metrics(pairs)
            metrics |= {f"{name}/{figure}": value for figure, value in figures.items()}
    names = data.table.feature_names
    reference, mse, r2 = least_squares(lambda: data.chunks("train"))
    line = predictor.line()
    return {
        "metrics": metrics,
        "objective": objective_of(metrics, objective),
        "parameters": line.parameters(names) if line and metrics else {},
        "reference": reference.parameters(names) | {"mse": mse, "r2": r2},
    }


def objective_of(metrics: dict[str, float], name: str) -> dict[str, Any]:
    """An objective as summary.json has it; the worst there is for a run that diverged."""
    worst = float("-inf") if larger_is_better(name) else float("inf")
    return {"name": name, "value": metrics.get(name, worst)}


def diverged(cfg: DictConfig, data: "DataModule", step: int | None) -> str:
    """At which step a run diverged, and how large a learning rate would have been stable where that is known."""
    message = f"the loss of optimizer step {step} was not finite (optimizer.lr={cfg.optimizer.lr})"
    straight = cfg.model._target_.endswith((".Scratch", ".linear"))
    if (
        straight
        and cfg.loss._target_.endswith(".MSELoss")
        and cfg.optimizer._target_.endswith(".SGD")
        and data.batches == 1
        and not cfg.optimizer.nesterov
        and not cfg.optimizer.weight_decay
    ):
        largest = largest_stable_lr(data.encoded("train")[0].numpy(), cfg.optimizer.momentum)
        message += f"; the largest stable learning rate of this data is {largest:.5f}"
    return message


class Stoppable(Protocol):
    """Whatever can be asked to stop."""

    def stop(self, reason: str) -> None:
        """Ends the training with the epoch it is in."""


@contextmanager
def interruptible(record: Stoppable) -> Iterator[None]:
    """Ctrl-C ends the training after the epoch it is in; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: Any) -> None:
        record.stop("interrupted")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what Lightning says to everybody: that a GPU exists, that workers are few."""
    levels = {name: logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
