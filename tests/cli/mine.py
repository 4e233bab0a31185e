"""Callbacks as a user writes them."""

from collections import Counter
from typing import Any

import lightning.pytorch as pl

STEPS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
COUNTED: Counter[str] = Counter()
SEEN: dict[str, list[dict[str, float]]] = {}


def counting(hook: str) -> type[pl.Callback]:
    """A class that counts how often one hook is called."""

    def count(self: pl.Callback, *arguments: Any) -> None:
        COUNTED[hook] += 1

    return type(hook, (pl.Callback,), {hook: count, "__module__": __name__})


globals().update({hook: counting(hook) for hook in STEPS})


class Watcher(pl.Callback):
    """Keeps the figures that it is shown at the end of each epoch, and of each validation."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps them."""
        SEEN.setdefault("epoch", []).append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps them."""
        SEEN.setdefault("val", []).append({name: float(value) for name, value in trainer.callback_metrics.items()})
