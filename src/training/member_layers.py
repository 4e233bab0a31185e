"""Layers with a leading member axis: what a net's leaves become when many nets of one form train as one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.embedding import Lookup


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Rows (members, rows, in) by weight (members, out, in) and bias (members, out): (members, rows, out)."""
    return torch.bmm(rows, weight.mT) if bias is None else torch.baddbmm(bias[:, None], rows, weight.mT)


class MemberLinear(nn.Module):
    """``nn.Linear``: weight (members, out, in), bias (members, out) or None; (members, …, in) to (members, …, out)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, values: Tensor) -> Tensor:
        """One matrix product a member."""
        rows = values if values.dim() == 3 else values.flatten(1, -2)  # (members, rows, in)
        found = linear(rows, self.weight, self.bias)
        return found if values.dim() == 3 else found.unflatten(1, values.shape[1:-1])


class MemberLayerNorm(nn.Module):
    """``nn.LayerNorm``: weight and bias (members, *shape) or None."""

    def __init__(self, layer: nn.LayerNorm, weight: nn.Parameter | None, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.shape, self.eps = layer.normalized_shape, layer.eps
        self.weight, self.bias = weight, bias

    def forward(self, values: Tensor) -> Tensor:
        """Normalizes the last dimensions; then scales and shifts by the member's own numbers."""
        found = F.layer_norm(values, self.shape, eps=self.eps)
        rest = [1] * (values.dim() - 1 - len(self.shape))
        weight, bias = (p if p is None else p.view(len(p), *rest, *self.shape) for p in (self.weight, self.bias))
        if weight is None:
            return found
        return found * weight if bias is None else torch.addcmul(bias, found, weight)


class MemberBatchNorm(nn.Module):
    """``nn.BatchNorm1d`` with statistics per member: buffers (members, channels)."""

    def __init__(
        self, layer: nn.BatchNorm1d, weight: nn.Parameter | None, bias: nn.Parameter | None, buffers: dict[str, Tensor]
    ) -> None:
        super().__init__()
        # Without a momentum torch averages over all batches by their number, a value that it decides by in Python.
        self.eps, self.momentum, self.channels = layer.eps, layer.momentum or 0.0, layer.num_features
        self.weight, self.bias = weight, bias
        self.statistics = buffers  # the stack's own tensors, which it keeps and stores

    def forward(self, values: Tensor) -> Tensor:
        """Normalizes (members, rows, channels, …) over rows: channels of different members are different channels."""
        members = len(values)
        flat = values.transpose(0, 1).flatten(1, 2)  # (rows, members · channels, …)
        mean, variance = self.statistics.get("running_mean"), self.statistics.get("running_var")
        if self.training and mean is not None:
            self.statistics["num_batches_tracked"] += 1
        found = F.batch_norm(
            flat,
            None if mean is None else mean.view(-1),
            None if variance is None else variance.view(-1),
            None if self.weight is None else self.weight.reshape(-1),
            None if self.bias is None else self.bias.reshape(-1),
            training=self.training or mean is None,
            momentum=self.momentum,
            eps=self.eps,
        )
        return found.unflatten(1, (members, self.channels)).transpose(0, 1)


class MemberEmbedding(nn.Module):
    """``nn.Embedding``: weight (members, entries, width); (members, …) whole numbers to (members, …, width)."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, index: Tensor) -> Tensor:
        """Each member looks up in its own table."""
        members = torch.arange(len(self.weight), device=index.device).view(-1, *[1] * (index.dim() - 1))
        return self.weight[members, index]


def swap_leaf(layer: nn.Module, own: dict[str, nn.Parameter], buffers: dict[str, Tensor]) -> nn.Module | None:
    """A leaf's form with a member axis; None where there is none.

    Args:
        layer: of one member.
        own: its parameters with a member axis, by their names in the layer.
        buffers: likewise.
    """
    weight, bias = own.get("weight"), own.get("bias")
    if type(layer) is nn.Linear and weight is not None:
        return MemberLinear(weight, bias)
    if type(layer) is nn.LayerNorm:
        return MemberLayerNorm(layer, weight, bias)
    if type(layer) is nn.BatchNorm1d:
        return MemberBatchNorm(layer, weight, bias, buffers)
    if isinstance(layer, nn.Embedding) and type(layer) in (nn.Embedding, Lookup) and weight is not None:
        usual = layer.padding_idx is None and layer.max_norm is None and not layer.scale_grad_by_freq
        return MemberEmbedding(weight) if usual and not layer.sparse else None
    # Whatever has no numbers of its own stays: that it is element-wise, the comparison with the nets alone shows.
    return layer if not own and not buffers else None
