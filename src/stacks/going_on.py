"""Which members of a stack that was stopped go on together, each from its own checkpoint."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from src.config.values import container
from src.errors import UserError
from src.runs.folder import RunFolder
from src.runs.point import done, standing, whole
from src.stacks.ready import Ready

log = logging.getLogger(__name__)


def source(each: Ready) -> RunFolder:
    """The run that a member goes on with: another one where its configuration says so, else its own."""
    other = each.job.cfg.get("resume")
    return each.job.folder if other is None else RunFolder(other)


def alike(ready: Sequence[Ready]) -> list[list[Ready]]:
    """Members that have trained as many epochs, a list each; in the last those that begin.

    Left out are those whose training was over when they were stopped. A kill between the checkpoints of two members
    leaves some of them a checkpoint ahead: then all go on from the one before.

    Raises:
        UserError: a member was trained on other rows.
    """
    found = [(each, standing(source(each), each.job.cfg, each.part.table)) for each in ready]
    points = [(each, epochs) for each, epochs in found if epochs is not None]
    least = min((max(epochs, default=0) for _, epochs in points), default=0)
    # Before a first checkpoint lies the beginning.
    shared = all(least in epochs or (least == 0 and len(epochs) < 2) for _, epochs in points)
    stacks: dict[int, list[Ready]] = {}
    for each, epochs in points:
        after = least if shared else max(epochs, default=0)
        stacks.setdefault(after, []).append(replace(each, point=epochs[after]) if after else each)
    for after in filter(None, stacks):
        log.info("%d of %d go on after epoch %d, from their checkpoints", len(stacks[after]), len(ready), after)
    return [stacks[after] for after in sorted(stacks, reverse=True)]


def restorer(some: Sequence[Ready], stops: Any) -> "partial[None] | None":
    """What brings a stack to where its members' checkpoints are, see ``restore``; None where they begin.

    Raises:
        UserError: a checkpoint does not hold what a training goes on from.
    """
    from src.config.optimization import makers
    from src.training.member_resume import restore
    from src.training.resume import check_kept

    paths = [each.point for each in some if each.point]
    if not paths:
        return None
    states = [whole(path)[0] for path in paths]
    makes = makers([container(each.job.cfg.optimizer) for each in some], "optimizer")
    for path, state, make, each in zip(paths, states, makes, some, strict=True):
        for kept in state["optimizer_states"]:
            try:
                check_kept(kept, make, list(each.net.parameters()))
            except UserError as error:
                raise UserError(f"{path}: does not hold what a training goes on from ({error})") from None
    names = [[name for name, _ in each.net.named_parameters()] for each in some]
    epochs, _ = done(states[0])
    return partial(restore, states=states, epochs=epochs, names=names, stops=stops)
