"""Validation figures with a member axis."""

import numpy as np
import torch
from torch import Tensor

from src.stacking.nets import StackedNet
from src.stacking.rows import StackData

FIGURES = ("mse", "rmse", "mae", "r2")


class Validation:
    """The validation rows of all members, as a stack is trained.

    Args:
        data: has such rows.
        device: of the training.
    """

    def __init__(self, data: StackData, device: torch.device) -> None:
        features, target = data.encoded("val")
        self._features, self._target = features.to(device), target.to(device)
        self._scale = np.array([part.encoder.target_scale for part in data.parts])
        different = {id(part): part for part in data.parts}
        variances = {key: float(part.raw("val")[1].astype("float64").var()) for key, part in different.items()}
        self._variance = np.array([variances[id(part)] for part in data.parts])

    @torch.no_grad()
    def figures(self, net: StackedNet, weights: Tensor) -> dict[str, np.ndarray]:
        """``FIGURES`` (members,) of weights (members, parameters), in the target's unit."""
        error = net.forward(weights, self._features).sub_(self._target)
        sums = torch.stack([(error * error).sum(1), error.abs().sum(1)]).cpu().double().numpy()
        rows = self._target.shape[-1]
        mse, mae = sums[0] / rows * self._scale**2, sums[1] / rows * self._scale
        with np.errstate(divide="ignore", invalid="ignore"):
            r2 = np.where(self._variance > 0, 1 - mse / self._variance, np.nan)
        return dict(zip(FIGURES, (mse, np.sqrt(mse), mae, r2), strict=True))

    def keep(self, index: Tensor) -> None:
        """Keeps only these members."""
        if self._target.dim() == 2:
            self._features, self._target = self._features[index], self._target[index]
        positions = index.cpu().numpy()
        self._scale, self._variance = self._scale[positions], self._variance[positions]
