"""A target to what a net learns, and its predictions back, exactly; of several each by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.errors import UserError


@dataclass(frozen=True)
class Target:
    """encoded = (f(y) - shift) / scale, with f the identity, the logarithm, or Yeo and Johnson's power (2000).

    Args:
        kind: standard, none, log or yeo-johnson.
        shift, scale: of f(y).
        center, spread: what is taken off y, and what it is divided by, before Yeo-Johnson.
        power: of Yeo-Johnson.
    """

    kind: str
    shift: float = 0.0
    scale: float = 1.0
    center: float = 0.0
    spread: float = 1.0
    power: float = 1.0

    @classmethod
    def fit(
        cls, values: np.ndarray, kind: str, moments: Callable[[np.ndarray], tuple[float, float]], name: str
    ) -> "Target":
        """What the training rows (rows,) say; ``moments`` gives mean and deviation, ``name`` is the column's.

        Raises:
            UserError: a logarithm is asked for of a number that has none.
        """
        if kind == "none":
            return cls(kind)
        if kind == "standard":
            return cls(kind, *moments(values))
        if kind == "log":
            if not (values > 0).all():
                raise UserError(f"data.target_scaling=log needs a target above 0, found {values.min():.6g} in {name!r}")
            return cls(kind, *moments(np.log(values)))
        from sklearn.preprocessing import PowerTransformer

        center, spread = moments(values)
        scaled = (values - center) / spread
        found = PowerTransformer(standardize=False).fit(scaled[:: -(-len(scaled) // (1 << 17)), None])
        target = cls(kind, 0.0, 1.0, center, spread, float(found.lambdas_[0]))
        return cls(kind, *moments(target.encode(values)), center, spread, target.power)

    @property
    def is_affine(self) -> bool:
        """Whether an error in the target's unit is one of encoded values, times ``scale``."""
        return self.kind in ("standard", "none")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values (rows,) in the target's unit, float64, as the net learns them."""
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):  # a row that is held back may have none
                values = np.log(np.maximum(values, 0))
        elif self.kind == "yeo-johnson":
            values = _power((values - self.center) / self.spread, self.power)
        return (values - self.shift) / self.scale

    def decode(self, encoded: Tensor) -> Tensor:
        """The reverse, in float64, whatever the shape."""
        found = encoded.to(torch.float64) * self.scale + self.shift
        if self.kind == "log":
            return found.exp()
        if self.kind == "yeo-johnson":
            return _unpower(found, self.power) * self.spread + self.center
        return found


def _power(values: np.ndarray, power: float) -> np.ndarray:
    found = np.empty_like(values)
    positive = values >= 0
    for chosen, sign, exponent in ((positive, 1, power), (~positive, -1, 2 - power)):
        root = np.log1p(np.abs(values[chosen]))
        found[chosen] = sign * (root if abs(exponent) < 1e-12 else np.expm1(exponent * root) / exponent)
    return found


def _unpower(values: Tensor, power: float) -> Tensor:
    size, found = values.abs(), []
    for exponent in (power, 2 - power):
        # Beyond the end of the curve, where no value leads to, the largest number stands.
        inner = torch.log1p((size * exponent).clamp(min=-1 + 1e-12)) / exponent if abs(exponent) >= 1e-12 else size
        found.append(torch.expm1(inner))
    return torch.where(values >= 0, found[0], -found[1])


def decode(targets: Sequence[Target], output: Tensor) -> Tensor:
    """A net's output (…, targets) in each target's own unit, float64; of one target every output, (…, outputs), is."""
    if len(targets) == 1:
        return targets[0].decode(output)
    return torch.stack([target.decode(output[..., place]) for place, target in enumerate(targets)], -1)


def decoded(members: Sequence[Sequence[Target]], values: Tensor) -> Tensor:
    """Encoded values (members, rows, targets) by each member's own targets; (rows, targets) where all see the same."""
    own = values if values.dim() == 3 else values.expand(len(members), *values.shape)
    return torch.stack([decode(targets, part) for targets, part in zip(members, own, strict=True)])
