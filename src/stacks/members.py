"""From a trained stack to the run folders of its members."""

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

from src.config import build
from src.data.executions import step_rows
from src.runs.draw import curves
from src.runs.environment import environment
from src.runs.fit import finish
from src.runs.folder import run_command
from src.runs.outcome import Member, elapsed, summarize
from src.runs.reference import Reference
from src.runs.restore import origin
from src.stacks.job import Job
from src.stacks.stack import Trained
from src.training.checkpoint_files import save
from src.training.checkpoints import best_checkpoint
from src.training.optimizers import own_rows
from src.training.predictor import Predictor
from src.training.tensorboard import TensorBoard


def write(trained: Trained, files: Callable[[Job], dict[str, str]]) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Writes every member's folder and yields its summary, written last.

    Args:
        trained: the stack.
        files: what else belongs in a member's folder, text by path relative to it.
    """
    history, jobs, stack = trained.history, trained.jobs, trained.module.stack
    surroundings = environment(str(trained.trainer.strategy.root_device), trained.threads)
    references = {id(part): Reference(part) for part in trained.parts}
    table = history.table()
    checkpoints = Checkpoints(trained)
    before = elapsed(trained.started) / len(jobs)
    nodes = jobs[0].cfg.logger or {}  # equal in all members
    templates = [build.construct(node, f"logger.{name}") for name, node in nodes.items()]
    for place, job in enumerate(jobs):
        started = time.perf_counter()
        folder, cfg, part = job.folder, job.cfg, trained.parts[place]
        folder.clear(job.overrides)
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        folder.config.parent.mkdir(exist_ok=True)
        for path, text in files(job).items():
            (folder.path / path).write_text(text, encoding="utf-8")
        fit, load = trained.seconds / len(jobs), part.table.seconds / len(jobs)
        seconds = {"load": load, "fit": fit}
        command = run_command(job.overrides, swept=True)
        run = Member(place, cfg, command, job.overrides, folder, references[id(part)], surroundings, seconds)
        summary = summarize(run, history, stack, trained.nets[place])
        own = {name: values[: history.epochs[place], place] for name, values in table.items()}
        if history.epochs[place]:  # as alone, who diverges in the first epoch has no rows
            folder.append_metrics(own)
        checkpoints.write(place)
        loggers = [copy.copy(logger) for logger in templates]
        for logger in loggers:
            if isinstance(logger, TensorBoard):
                logger.bind(folder.path, curves(cfg, part))
                if history.epochs[place]:
                    logger.log_table(own, cfg.trainer.max_epochs, last=True)
        predictor = Predictor(trained.nets[place], part.encoder, build.levels(cfg))
        finish(run, summary, predictor, loggers, cfg.figures is True)
        took = before + elapsed(started)
        seconds |= {"write": took - fit, "total": load + took}
        folder.write_summary(summary, durable=False)  # thousands of members would wait for the disk one by one
        yield job, summary


class Checkpoints:
    """last.ckpt to go on from and best.ckpt to predict with, of every member: those of the same run alone.

    Args:
        trained: the stack.
    """

    def __init__(self, trained: Trained) -> None:
        self._trained = trained
        whole = trained.trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        self._common = {key: value for key, value in whole.items() if key not in ("DataModule", "state_dict")}
        self._loops: dict[tuple[int, int], Any] = {}

    def write(self, place: int) -> None:
        """Writes both files of a member."""
        trained, history, stack = self._trained, self._trained.history, self._trained.module.stack
        cfg, part = trained.jobs[place].cfg, trained.parts[place]
        encoder, rows = part.encoder.state_dict(), len(part.rows["train"])
        # The epoch in which a run diverges counts, though it was never closed.
        epochs = int(history.epochs[place]) + (history.stopped[place] == "diverged")
        steps = int(history.steps[place])
        folder = trained.jobs[place].folder.checkpoints
        last = self._counted(epochs, steps) | {
            "DataModule": encoder,
            "state_dict": {
                f"net.{name}": value for name, value in stack.state(history.of(place, best=False), place).items()
            },
            "optimizer_states": self._optimizer(place),
            "lr_schedulers": history.ends[place].schedulers,
            "callbacks": {n: state for n, each in trained.stops.items() if (state := each[place].state_dict())},
            "History": history.best_state(stack.state, place),
            "Run": origin(cfg, part.table)
            | {"whole": steps % -(-rows // step_rows(cfg.data.batch_size, rows)) == 0, "ended": history.stopped[place]},
        }
        save(last, folder / "last.ckpt", durable=False)
        save(best_checkpoint(last, epochs), folder / "best.ckpt", durable=False)

    def _optimizer(self, place: int) -> list[dict[str, Any]]:
        """torch's ``state_dict`` of the member's optimizer; none for an update that is written by hand."""
        history, module = self._trained.history, self._trained.module
        if module.by_hand:
            return []
        end = history.ends[place]
        kept = own_rows(history.state, end.group)
        rows = {name: module.stack.unflat(part[place], place) for name, part in kept.items()}
        names = [name for name, _ in self._trained.nets[place].named_parameters()]
        state: dict[int, dict[str, Any]] = {}
        for name in next(iter(rows.values()), {}):
            shared = {key: copy.deepcopy(value) for key, value in end.shared.items()}
            state[names.index(name)] = shared | {key: part[name] for key, part in rows.items()}
        return [{"state": state, "param_groups": [end.group | {"params": list(range(len(names)))}]}]

    def _counted(self, epochs: int, steps: int) -> dict[str, Any]:
        """A Trainer's checkpoint as it would be after so many epochs and optimizer steps."""
        if (epochs, steps) not in self._loops:
            found = copy.deepcopy(self._common) | {"epoch": epochs, "global_step": steps}
            loop = found["loops"]["fit_loop"]
            counters = (
                (loop["epoch_progress"], epochs),
                (loop["epoch_loop.manual_optimization.optim_step_progress"], steps),
            )
            for progress, count in counters:
                for part in ("total", "current"):
                    progress[part] = dict.fromkeys(progress[part], count)
            self._loops[epochs, steps] = found
        return self._loops[epochs, steps]
