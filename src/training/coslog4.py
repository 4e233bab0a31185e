"""What RealMLP does over time (Holzmüller, Grinsztajn and Steinwart, 2024): four waves, and a fall at the end."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

_WAVES = 4  # each about twice as long as the one before it


class CosLog4(LRScheduler):
    """Four times from 0 up to the learning rate and down again: lr (1 - cos(2π log2(1 + 15 t))) / 2 at t from 0 to 1.

    Weight decay, where the optimizer has one, stays for half of the time and then falls to 0, see ``flat_cos``.

    Args:
        optimizer: whose rates to move.
        total_steps: of this scheduler in the whole training.
        last_epoch: steps before, less one, as torch counts them.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, last_epoch: int = -1) -> None:
        self.total_steps = total_steps
        for group in optimizer.param_groups:
            if "weight_decay" in group:
                group.setdefault("initial_weight_decay", group["weight_decay"])
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates at this step, by group; puts weight decay where it is by now."""
        time = min(self.last_epoch / self.total_steps, 1.0)
        for group in self.optimizer.param_groups:
            if "initial_weight_decay" in group:
                group["weight_decay"] = group["initial_weight_decay"] * flat_cos(time)
        return [lr * coslog4(time) for lr in self.base_lrs]


def coslog4(time: float) -> float:
    """Of the learning rate how much there is at a time from 0 to 1."""
    return (1 - math.cos(2 * math.pi * math.log2(1 + (2**_WAVES - 1) * time))) / 2


def flat_cos(time: float) -> float:
    """1 for half of the time from 0 to 1, then down to 0 as half a cosine."""
    return (1 + math.cos(math.pi * max(2 * time - 1, 0.0))) / 2
