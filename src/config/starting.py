"""A net as it starts on the rows of its training, and whether it gives what its loss takes."""

from copy import deepcopy
from typing import TYPE_CHECKING

from src.config.build import levels
from src.config.values import Config
from src.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from src.data.partition import Partition

_STARTED_FROM = 1 << 22  # numbers of training rows from which a start is worked out


def start(net: "nn.Module", part: "Partition", cfg: Config) -> "nn.Module":
    """A net as it starts on such rows: one that is fitted to them is a copy of its own."""
    from src.models import realmlp
    from src.models.numeric import Spread, fit_bins
    from src.models.straight import Straight

    has_realmlp = any(isinstance(layer, realmlp.RealMLP) for layer in net.modules())
    if not isinstance(net, (Spread, Straight)) and not has_realmlp:
        return net
    net = deepcopy(net)
    most = _STARTED_FROM // part.encoder.shape.width
    if isinstance(net, Spread):
        fit_bins(net, part.some("train", most)[0])
    if has_realmlp:
        realmlp.start(net, part.some("train", min(most, realmlp.STARTED_FROM))[0], part.extent(), cfg.seed)
    if not isinstance(net, Straight):
        return net
    val = part.some("val", most) if len(part.rows["val"]) else None
    weights = part.some_weights("train", most), part.some_weights("val", most)
    net.start(part.some("train", most), val, levels(cfg), weights)
    return net


def check_outputs(net: "nn.Module", part: "Partition", cfg: Config) -> None:
    """Holds what a net gives against what its loss takes: torch would broadcast one against the other.

    Raises:
        UserError: it gives something else.
    """
    import torch

    training = net.training
    try:
        with torch.no_grad():
            found = tuple(net.eval()(part.sample(2)[0]).shape)
    except Exception:  # whatever a net of the user's raises, training says better where
        return
    finally:
        net.train(training)
    if found != (2, outputs := max(len(levels(cfg)), len(part.table.target_names))):
        raise UserError(f"model: expected {outputs} output{'s'[: outputs > 1]} a row, found {found[1:] or 'none'}")
