"""What moves the weights of a stack: its optimizer and its schedule."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from src.config import optimization
from src.config.values import container
from src.stacks.job import Job

if TYPE_CHECKING:
    from src.data.module import DataModule
    from src.training.stack import Stack


class Optimization:
    """The optimizer and the schedule of a stack: torch's own where members agree, rules where they differ.

    Args:
        jobs: the members.
        data: of them.
        stack: of their nets.
        agree: whether nothing else keeps them from being updated alike.

    Raises:
        UserError: an optimizer or a scheduler refuses its arguments.
    """

    def __init__(self, jobs: Sequence[Job], data: "DataModule", stack: "Stack", agree: bool) -> None:
        self._stack = stack
        self._makes = optimization.makers([container(job.cfg.optimizer) for job in jobs], "optimizer")
        found = optimization.schedules([job.cfg for job in jobs], data)
        self._schedules = [schedule for schedule in found if schedule is not None]  # all or none
        for place in {key: place for place, key in enumerate(self._schedules or self._makes)}.values():
            optimization.try_out(self._makes[place], found[place])
        self._agree = agree and len(set(self._makes)) == 1 and len(set(self._schedules)) < 2
        self._agree &= not any(schedule.plateau for schedule in self._schedules[:1])

    def optimizer(self) -> Any:
        """Of all members, over their matrix as it lies on the training's device."""
        from src.training.member_optimizers import Differing
        from src.training.optimizers import Agreeing

        if self._agree:
            return Agreeing(self._stack.matrix, self._makes[0])
        return Differing(self._stack.matrix, self._makes)

    def scheduler(self, optimizer: Any) -> Any:
        """What moves that optimizer's learning rates; None where nothing does."""
        from src.training.optimizers import Agreeing
        from src.training.schedules import Scheduler, own_schedulers

        schedules = self._schedules
        if not schedules:
            return None
        if isinstance(optimizer, Agreeing):
            return Scheduler(schedules[0], [(schedules[0].build(optimizer.torch), 0, math.inf)])
        return Scheduler(schedules[0], own_schedulers(schedules, self._makes), optimizer)
