"""How large a net would be: built and called once on torch's meta device, where numbers take no memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from src.adapters.memory import check_room
from src.config.kinds import check_kind
from src.errors import UserError

_ROWS = 256  # at least so many go through a net at a time, in training or in a prediction
_SMALL = 8192  # nets of ours whose numbers have such a sum are not measured: their layers are pairs of them
_CALLS = 50_000  # of torch, after which a net has too many layers to be built in any time

_FITTING: set[str] = set()  # nets that were found to fit


def check_size(
    values: dict[str, Any], rows: str, entries: int, width: int, copies: int, make: Callable[[], nn.Module]
) -> None:
    """Refuses a net whose weights, or what its layers give for a few rows, do not fit into memory.

    Only nets on the closed list are measured, whose constructors do nothing but allocate; equal ones once.

    Args:
        values: the node of the configuration.
        rows: what else decides its size, in words.
        entries: the same as a number.
        width: numbers in a row.
        copies: of its weights that there will be.
        make: builds it. Whatever goes wrong there is said when it is built in earnest.

    Raises:
        UserError: it is too large.
    """
    if values["_target_"].startswith("src.models.") and _sum(values) + entries <= _SMALL:
        return
    text = f"{values} {rows} {copies}"
    if text in _FITTING:
        return
    try:
        check_kind(values, "model", foreign=True)
    except UserError:
        return
    check_room(_needed(make, width, copies), f"model: a net such as {_said(values)}")
    _FITTING.add(text)


def _needed(make: Callable[[], nn.Module], width: int, copies: int) -> int:
    """Bytes; of a net that cannot be built those that it would take until then."""
    made = _Counted()
    try:
        with torch.device("meta"), made:
            net = make().eval()
            weights = sum(each.nbytes for each in (*net.parameters(), *net.buffers()))
            values = _values(net, width)
    except _TooMany:
        raise UserError(f"model: has more layers than can be built, {_CALLS:,} calls were not enough") from None
    except Exception:  # of whatever its options are; in earnest it says so after it has allocated
        return copies * made.nbytes
    return copies * weights + _ROWS * values


def _sum(value: Any) -> float:
    """Of the numbers within."""
    if isinstance(value, (dict, list)):
        return sum(map(_sum, value.values() if isinstance(value, dict) else value))
    return abs(value) if isinstance(value, (int, float)) else 0


def _said(values: dict[str, Any]) -> str:
    """The options that are numbers, the target's last word before them."""
    said = [f"{key}={str(value)[:60]}" for key, value in values.items() if _sum(value) and key != "_target_"]
    return " ".join([values["_target_"].rpartition(".")[2], *said])


def _values(net: nn.Module, width: int) -> int:
    """Bytes of what all layers give for one row; of a net that cannot be called so, of those before it fails."""
    counted = []

    def count(module: nn.Module, given: Any, found: Any) -> None:
        if isinstance(found, Tensor):
            counted.append(found.nbytes)

    hooks = [module.register_forward_hook(count) for module in net.modules() if not list(module.children())]
    try:
        with torch.no_grad():
            net(torch.empty(1, width))
    except _TooMany:
        raise
    except Exception:  # of whatever a row is to it; in earnest it gets no further either
        return sum(counted)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)


class _TooMany(BaseException):
    """No mere exception: what builds nets makes a line of any, as of a mistake in an option."""


class _Counted(TorchFunctionMode):
    """Gives up after so many calls: the number of layers may be any number of the configuration."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0
        self._made: dict[int, Tensor] = {}  # by identity: what starts a weight in its place gives it once more

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors that were made."""
        return sum(each.nbytes for each in self._made.values())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._calls += 1
        if self._calls > _CALLS:
            raise _TooMany
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self._made[id(found)] = found
        return found
