"""One run: from a checked configuration and its table to a run folder that describes itself."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint

from src.config import build, optimization, starting, way
from src.config.objective import monitored
from src.config.trainer import make_trainer
from src.config.values import Config
from src.data.module import DataModule
from src.data.table import Table
from src.errors import UserError, first_line
from src.runs.draw import curves, draw, write_dashboard
from src.runs.environment import environment
from src.runs.folder import RunFolder
from src.runs.live import Live
from src.runs.logs import hushed
from src.runs.outcome import Member, decoder, elapsed, summarize
from src.runs.point import Point, learned, resumable
from src.runs.ranks import ranks
from src.runs.reference import Reference
from src.runs.restore import origin
from src.runs.signals import Interruptible
from src.training.checkpoints import Checkpoints, Writer
from src.training.early_stopping import Stopping
from src.training.history import History, Pruner
from src.training.plain import Closing, Plain
from src.training.predictor import Predictor
from src.training.progress import Progress
from src.training.stack import Lone
from src.training.tensorboard import Curves, TensorBoard
from src.training.threads import threads, threads_for

log = logging.getLogger(__name__)


def fit(
    cfg: Config,
    rows: Table,
    folder: RunFolder,
    command: str,
    overrides: Sequence[str],
    figures: bool,
    pruner: Pruner | None = None,
    own: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Trains, evaluates, draws, and writes summary.json last.

    Args:
        cfg: checked and resolved.
        rows: what ``build.table`` read.
        folder: where everything goes.
        command, overrides: how this run was asked for.
        figures: whether to draw.
        pruner: asked after each epoch whether to prune.
        own: given where the run in the folder is to go on there; called before anything of it is changed.

    Returns:
        The summary; {} in all but the first of several processes.

    Raises:
        UserError: something in the configuration cannot be built, or the run to resume does not fit.
        NothingLeft: the run to resume is over.
    """
    started = time.perf_counter() - rows.seconds
    part = build.partition(cfg, rows)
    source = folder if own and folder.begun() else RunFolder.existing(cfg.resume, "resume") if cfg.resume else None
    if source and cfg.get("allow_changed_data"):
        part.use(learned(source, rows))  # the net has its form: other rows may have other categories, or gaps
    seconds = {"load": elapsed(started)}
    callbacks = [build.construct(node, f"callbacks.{name}") for name, node in (cfg.callbacks or {}).items()]
    named = dict(zip(cfg.callbacks or {}, callbacks, strict=True))
    way.check_callbacks(named, bool(len(part.rows["val"])))
    loggers = [build.construct(node, f"logger.{name}") for name, node in (cfg.logger or {}).items()]
    reason = way.why_plain(cfg) or optimization.why_not_elementwise(cfg) or way.follows_steps(callbacks)
    if optimization.is_by_hand(cfg) and (found := way.needs_lightnings_step(cfg)):
        raise UserError(f"model=scratch trains in full precision on one device, found {found}")
    span = reason is None and all(way.is_own(callback) for callback in callbacks)
    net = starting.start(build.net(cfg, part.encoder.shape), part, cfg)
    starting.check_outputs(net, part, cfg)
    member = Lone(net, cfg.seed)
    member.noise.epochs = [int(cfg.trainer.max_epochs)]
    monitor, maximize = monitored(cfg)
    history = History(
        1,
        monitor,
        maximize,
        [[each] for each in callbacks if isinstance(each, Stopping)],
        pruner,
        decode=decoder([part], [member.net]),
    )
    if cfg.get("descent") and history.decode is None:
        raise UserError(
            f"descent=true draws a straight line of one feature, found {cfg.model._target_} "
            f"on {', '.join(rows.feature_names[:5])}"
        )
    data = build.datamodule(cfg, [part], [cfg.seed], [cfg.data.batch_size], reason is not None, span)
    module = optimization.module(cfg, member, data, history, reason is not None)
    live, ending = Live(folder, history), Interruptible(history)
    with quiet():
        watching = [Closing(), ending, *callbacks, live]
        trainer = make_trainer(cfg, watching, loggers, reason is not None, span, folder.path)
    steps = -(-data.batches // cfg.trainer.accumulate_grad_batches)
    point = resumable(cfg, source, module, rows, steps, named, source is folder) if source else None
    if trainer.is_global_zero:
        if own:
            own()
            folder.reopen(point.epochs if point else 0)
        else:
            folder.clear(overrides)
    for each in (*callbacks, *loggers):
        _bind(each, folder, member, history, live, partial(origin, cfg, rows), curves(cfg, part), steps)
    for name, each in named.items():
        if isinstance(each, ModelCheckpoint) and each.dirpath is None:
            each.dirpath = str(folder.checkpoints / name)  # apart from best.ckpt and last.ckpt, which are ours
    data.cut = next((each.epochs(steps) for each in callbacks if isinstance(each, Checkpoints)), None)
    if reason:
        log.info("plain path, one optimizer step per execution: %s", reason)

    fit_started = time.perf_counter()
    number = threads_for(sum(p.numel() for p in module.parameters()), data.batch_size, cfg.trainer.threads)
    if point and point.ended:
        point.finish(member, part, history, folder.checkpoints)
        live.again(trainer, last=True)
    else:
        with ending, quiet(), threads(number), ranks(trainer, cfg, folder, own is not None):
            _train(trainer, module, data, point)
    if not trainer.is_global_zero:
        return {}
    trained = time.perf_counter()
    seconds["fit"] = trained - fit_started
    surroundings = environment(str(trainer.strategy.root_device), number)
    run = Member(0, cfg, command, overrides, folder, Reference(part), surroundings, seconds)
    summary = summarize(run, history, member, member.net.cpu())
    finish(run, summary, Predictor(net, part.encoder, build.levels(cfg)), loggers, figures)
    seconds |= {"write": elapsed(trained), "total": elapsed(started)}
    folder.write_summary(summary)
    return summary


def _train(trainer: pl.Trainer, module: Plain, data: DataModule, point: Point | None) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=point.path if point else None, weights_only=True)
    except SystemExit:  # Lightning's answer to a second Ctrl-C
        raise KeyboardInterrupt from None
    except MisconfigurationException as error:  # a callback that needs a logger where there is none, say
        raise UserError(" ".join(str(error).split())) from error
    except Exception as error:
        if point is None or module.epochs is not None:
            raise
        said = first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{point.path}: does not hold what a training goes on from ({said})") from error
    if trainer.is_global_zero:
        assert module.epochs is not None
        # A callback of Lightning's or one's own has no reason to give; it just asks the Trainer to stop.
        early = trainer.should_stop and trainer.current_epoch != trainer.max_epochs
        module.epochs.finish(trainer.global_step, trainer.current_epoch, "stopped early" if early else "completed")


def finish(run: Member, summary: dict[str, Any], predictor: Predictor, loggers: list[Any], figures: bool) -> None:
    """Draws what is wanted of a run, and ends its dashboards."""
    part = run.reference.part
    pictures = draw(run.cfg, run.folder, predictor, run.reference, summary, figures)
    for logger in loggers:
        write_dashboard(logger, run.cfg, predictor, part, summary, pictures)


def _bind(
    each: Any,
    folder: RunFolder,
    member: Lone,
    history: History,
    live: Live,
    run: Callable[[], dict[str, Any]],
    curves: Curves,
    steps: int,
) -> None:
    """Gives our own callbacks and loggers what only a run knows."""
    if isinstance(each, Checkpoints):
        each.bind(Writer(folder.checkpoints, member, history, run, live.flush), steps)
    elif isinstance(each, Progress):
        each.bind(history)
    elif isinstance(each, TensorBoard):
        each.bind(folder.path, curves)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what Lightning says to everybody: that a GPU exists, that workers are few."""
    with hushed("lightning.pytorch", "lightning.fabric"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        # Gradients of a stack are columns of one matrix; what their layout costs is less than copying them.
        warnings.filterwarnings("ignore", message="grad and param do not obey")
        yield
