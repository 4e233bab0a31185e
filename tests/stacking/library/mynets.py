"""Nets that nobody here has seen before: what a user of the framework may write."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """A block with LayerNorm around which its input goes, with dropout where wanted."""

    def __init__(self, features: int, width: int = 6, dropout: float = 0.0) -> None:
        super().__init__()
        self.into, self.norm = nn.Linear(features, width), nn.LayerNorm(width)
        self.inner, self.dropout, self.out = nn.Linear(width, width), nn.Dropout(dropout), nn.Linear(width, 1)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.into(values)
        return self.out(hidden + self.dropout(torch.tanh(self.inner(self.norm(hidden)))))


class Normed(nn.Module):
    """BatchNorm over the rows of a batch, with running statistics for validation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.into, self.norm = nn.Linear(features, 5, bias=False), nn.BatchNorm1d(5)
        self.out = nn.Linear(5, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.into(values))))


class Averaged(Normed):
    """Running statistics over all batches, the number of which torch reads in Python."""

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.norm.momentum = None


class Bins(nn.Module):
    """Each feature's bin, embedded; ``flat`` names dimensions, which only vmap gets right."""

    def __init__(self, features: int, flat: bool = False) -> None:
        super().__init__()
        self.features, self.flat = features, flat
        self.table = nn.Embedding(4, 3)
        self.out = nn.Linear(features * 3, 1)

    def forward(self, values: Tensor) -> Tensor:
        index = ((values > -0.7).long() + (values > 0) + (values > 0.7)).long()
        embedded = self.table(index)
        return self.out(embedded.view(-1, self.features * 3) if self.flat else embedded.flatten(-2))


class Squares(nn.Module):
    """Concatenates along a dimension by its number."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(2 * features, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.cat([values, values**2], dim=1))


class Counting(nn.Module):
    """A buffer that the forward changes in place: a running mean of the features, which are shifted by it."""

    mean: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, 1)
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(values.detach().mean(-2), alpha=0.1)
        return self.out(values - self.mean)


class Replacing(Counting):
    """The same, but that the buffer is another tensor after each forward."""

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * values.detach().mean(-2)
        return self.out(values - self.mean)


class Twice(nn.Module):
    """One layer that is used twice."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.into, self.inner, self.out = nn.Linear(features, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.again = self.inner

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.tanh(self.again(torch.tanh(self.inner(self.into(values))))))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.into, self.one, self.two, self.out = (
            nn.Linear(features, 4),
            nn.Linear(4, 4),
            nn.Linear(4, 4),
            nn.Linear(4, 1),
        )
        self.two.weight = self.one.weight

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.tanh(self.two(torch.tanh(self.one(self.into(values))))))


class Frozen(nn.Module):
    """A layer that is not trained, and one weight of another that is not."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(features, 8), nn.Linear(8, 1)
        self.into.requires_grad_(False)
        self.out.bias.requires_grad_(False)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.tanh(self.into(values)))


class Own(nn.Module):
    """Parameters of its own, which no leaf layer holds; one is a number without a dimension."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.slope, self.shift = nn.Parameter(torch.randn(features)), nn.Parameter(torch.tensor(0.5))

    def forward(self, values: Tensor) -> Tensor:
        return (values * self.slope).sum(-1, keepdim=True) + self.shift


class Scaled(nn.Module):
    """A parameter of its own that broadcasts only where there is no member axis."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale, self.out = nn.Parameter(torch.ones(features)), nn.Linear(features, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(torch.tanh(values * self.scale))


class Idle(nn.Module):
    """A layer that takes no part: torch's optimizers leave it as it is, weight decay or not."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out, self.spare = nn.Linear(features, 1), nn.Linear(features, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(values)


class Strict(nn.Module):
    """Insists on (rows, features), by an error of no usual kind."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, 1)

    def forward(self, values: Tensor) -> Tensor:
        assert values.dim() == 2
        return self.out(values)


class Branch(nn.Module):
    """Decides by values in Python."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, 1)

    def forward(self, values: Tensor) -> Tensor:
        found = self.out(values)
        return found if found.mean() > 0 else found * 0.5


class BranchLater(Branch):
    """The same, but only when it does not train."""

    def forward(self, values: Tensor) -> Tensor:
        found = self.out(values)
        return found if self.training or found.mean() > 0 else found * 0.5


class Drops(nn.Module):
    """Draws dropout masks by a function instead of a layer."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out = nn.Linear(features, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.out(F.dropout(values, 0.2, self.training))


def layers(features: int, *widths: int) -> list[dict[str, Any]]:
    """``model._args_`` of an ``nn.Sequential`` as YAML has it: linear layers with LayerNorm and GELU between."""
    found: list[dict[str, Any]] = []
    for width in widths:
        found.append({"_target_": "torch.nn.Linear", "in_features": features, "out_features": width})
        found += [{"_target_": "torch.nn.LayerNorm", "normalized_shape": width}, {"_target_": "torch.nn.GELU"}]
        features = width
    return [*found, {"_target_": "torch.nn.Linear", "in_features": features, "out_features": 1}]
