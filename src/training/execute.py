"""The fast path: many optimizer steps inside one of Lightning's training steps.

Lightning spends about a millisecond around each training step, many times what a small model needs.
Keras calls the remedy ``steps_per_execution``. Here an execution may also span epochs, so every epoch
is closed inside, and Lightning's own counters are advanced by the steps and epochs that were done.
"""

import math
from collections.abc import Callable

import lightning.pytorch as pl
from torch import Tensor

from src.data.executions import Execution
from src.training.epochs import Epochs, count

Step = Callable[[Tensor, Tensor], float | Tensor]


def execute(step: Step, epochs: Epochs, execution: Execution, trainer: pl.Trainer, inside: bool) -> None:
    """Trains through an execution.

    A loss that is not finite ends the training: at once where reading a loss is free (on a CPU), else
    at the end of its epoch. A stop that is asked for takes effect at the end of an epoch.

    Args:
        step: does one optimizer step on a batch and returns the loss before it: a number, or a
            detached tensor where reading it would wait for the device.
        inside: whether epochs are validated and closed in here; else Lightning's hooks do it, so that
            its callbacks see each epoch.
    """
    before = trainer.global_step
    cadence = trainer.check_val_every_n_epoch or 1
    done, index = 0, 0
    losses, record = epochs.losses, epochs.record
    for index, stretch in enumerate(execution.stretches):
        if stretch.start == 0:
            epochs.start(stretch.epoch)
        for features, target in execution.batches(index):
            loss = step(features, target)
            losses.append(loss)
            done += 1
            if type(loss) is float and not math.isfinite(loss):
                record.diverge(before + done)
                break
        if record.stopped == "diverged":
            break
        if stretch.ends_epoch and inside:
            due = (stretch.epoch + 1) % cadence == 0
            epochs.end(stretch.epoch, before + done, validation=epochs.validate() if due else None)
            losses = epochs.losses
            if record.stopped:
                break
    # Lightning itself counts the epoch in which this training step lies, whole or not.
    count(trainer, done, index)
    if record.stopped:
        trainer.should_stop = True
