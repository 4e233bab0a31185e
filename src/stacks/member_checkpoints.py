"""Checkpoints of the members of a stack: those of the same run alone."""

import copy
from typing import Any

from src.data.executions import step_rows
from src.runs.restore import origin
from src.stacks.ready import Trained
from src.training.checkpoints import save_both
from src.training.optimizers import own_rows
from src.training.stack import ROW


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
        """Writes both files of a member, as the history has it; what is not sound goes over nothing that is."""
        trained, history, stack = self._trained, self._trained.history, self._trained.module.stack
        ready = trained.ready[place]
        cfg, part, folder = ready.job.cfg, ready.part, ready.job.folder.checkpoints
        held = history.of(place, best=False)
        sound = history.stopped[place] != "diverged" and bool(held[ROW].isfinite().all())
        if not sound and (folder / "last.ckpt").exists():
            return
        encoder, rows = part.encoder.state_dict(), len(part.rows["train"])
        # The epoch in which a run diverges counts, though it was never closed.
        epochs = int(history.epochs[place]) + (history.stopped[place] == "diverged")
        steps = int(history.steps[place])
        last = self._counted(epochs, steps) | {
            "DataModule": encoder,
            "state_dict": {f"net.{name}": value for name, value in stack.state(held, place).items()},
            "optimizer_states": self._optimizer(place),
            "lr_schedulers": history.ends[place].schedulers,
            "callbacks": {n: state for n, each in trained.stops.items() if (state := each[place].state_dict())},
            "History": history.best_state(stack.state, place),
            "Run": origin(cfg, part.table)
            | {"whole": steps % -(-rows // step_rows(cfg.data.batch_size, rows)) == 0}
            | ({"ended": ended} if (ended := history.stopped[place]) else {}),
        }
        save_both(last, epochs, folder, durable=False)  # thousands of members would wait for the disk one by one

    def _optimizer(self, place: int) -> list[dict[str, Any]]:
        """torch's ``state_dict`` of the member's optimizer; none for an update that is written by hand."""
        history, module = self._trained.history, self._trained.module
        if module.by_hand:
            return []
        end = history.ends[place]
        kept = own_rows(history.state, end.group)
        rows = {name: module.stack.unflat(part[place], place) for name, part in kept.items()}
        names = [name for name, _ in self._trained.ready[place].net.named_parameters()]
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
