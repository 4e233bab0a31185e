"""The losses of runs that train together, held against what they have to weigh."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.config.build import alike
from src.config.kinds import resolve
from src.config.values import Config
from src.errors import UserError

if TYPE_CHECKING:
    from torch import nn


def losses(cfgs: Sequence[Config]) -> "list[nn.Module]":
    """The loss of each; equal ones are one object. Of a net that gives several predictions, of each of them.

    Raises:
        UserError: one cannot be constructed, or rows are weighed and it cannot weigh them.
    """
    from src.training.losses import OfEach, check_weighable

    found = alike([(cfg.loss, "loss") for cfg in cfgs])
    of_each = {id(loss): OfEach(loss) for loss in found}
    if any(cfg.data.get("weight") for cfg in cfgs):
        if any(hasattr(resolve(cfg.model._target_, "model"), "step_by_hand") for cfg in cfgs):
            raise UserError("model=scratch weighs no rows, leave out data.weight; model=linear is the same line")
        for loss in {id(loss): loss for loss in found}.values():
            check_weighable(loss)
    several = [getattr(resolve(cfg.model._target_, "model"), "several", False) for cfg in cfgs]
    return [of_each[id(loss)] if many else loss for loss, many in zip(found, several, strict=True)]
