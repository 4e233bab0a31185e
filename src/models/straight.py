"""A net that starts at straight lines: what they and the net give of a row is added, and both are trained."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from warnings import catch_warnings

import numpy as np
import torch
from torch import Tensor, nn

from src.errors import UserError
from src.models.embedding import Embedded, Hide, Lookup
from src.models.numeric import fit_bins

if TYPE_CHECKING:
    from src.models.ridge import Features, RidgeLine

CLIP = 3.0  # numbers that the net sees stay within ± 3 (RealMLP's smooth clip, Holzmüller et al. 2024)
_WIDER = 0.8  # of the clipped line's error, below which numbers are taken as they are: one far off may ruin a test
_BEYOND = 0.1  # of the range of the training rows' target, so much further predictions may go to each side
_RARE = 2.0  # a value seen n times is hidden with probability 2 / (2 + n)

Rows = tuple[Tensor, Tensor]  # features (rows, width) and target (rows, targets), as the net sees them


class Straight(nn.Module):
    """A straight line beside a net.

    Args:
        net: takes rows of the same width, and ends in an ``nn.Linear``.
        width: numbers and codes of a row.
        codes: how many of them, the last, are codes of categories.
        entries: different codes of all columns together.
        targets: lines.

    Shape:
        (rows, width) to (rows, outputs of the net): started at a line for each target, or all at the one line.
    """

    def __init__(self, net: nn.Module, width: int, codes: int, entries: int, targets: int = 1) -> None:
        super().__init__()
        self.net, self.numbers, self.targets = net, width - codes, targets
        if not self._ends():
            raise UserError("model.start=least_squares needs a net that ends in an nn.Linear")
        for layer in net.modules():
            if isinstance(layer, Embedded):
                layer.hide = nn.Identity()  # line and net see the same codes
        with catch_warnings(action="ignore"):  # torch's, of a table of words alone
            self.line = nn.Linear(self.numbers, targets)
        # With a dimension for rows, so that they broadcast with and without a member axis before it.
        # Of each target met, all the least and then all the greatest: to these predictions keep.
        self.range = nn.Buffer(torch.tensor([[-torch.inf] * targets + [torch.inf] * targets]))
        self.wide = nn.Buffer(torch.zeros(1, 1))  # 1: the line sees numbers as they are, 0: clipped as the net
        self.values = Lookup(entries, targets) if codes else None
        self.hide = Hide(entries) if codes else None

    def forward(self, features: Tensor) -> Tensor:
        """The line and the net."""
        numbers, codes = features[..., : self.numbers], features[..., self.numbers :]
        near = self._near(numbers)
        found = self.line(near + (numbers - near) * self.wide)
        if self.values is not None and self.hide is not None:
            codes = self.hide(codes)
            found, near = found + self.values(codes.long()).sum(-2), torch.cat([near, codes], -1)
        found = found + self.net(near)
        return found if self.training else found.clamp(self.range[..., : self.targets], self.range[..., self.targets :])

    @torch.no_grad()
    def start(
        self,
        train: Rows,
        val: Rows | None,
        levels: Sequence[float] = (0.5,),
        weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    ) -> None:
        """Puts each line at ridge regression's, and the net's last layer at zero.

        The penalty of each, and whether the lines see clipped numbers, is what has the least error on the validation
        rows; without any the penalty is 1 and numbers are clipped. Of several outputs for a target each starts as far
        from the line as that quantile of the training rows is, for which ``levels`` are. ``weights`` are how much the
        rows of both count, (rows,), 1 in the mean; None for all alike.
        """
        last = self._ends()[-1]
        for part in last.parameters():
            part.zero_()
        fit_bins(self.net, self._near(train[0][:, : self.numbers]))
        lines, least = self._lines(train, val, weights, False)
        self.wide.zero_()
        if val is not None:
            wide, error = self._lines(train, val, weights, True)
            if error < _WIDER * least:
                lines = wide
                self.wide.fill_(1)
        pairs = zip(train[1].amin(0), train[1].amax(0), strict=True)
        beyond = torch.tensor([-_BEYOND, _BEYOND])
        ends = [torch.stack([low, high]) + (high - low) * beyond for low, high in pairs]
        self.range.copy_(torch.stack(ends, 1).flatten()[None])
        if len(levels) > 1:
            seen, target = self._rows(train, bool(self.wide))
            last.bias.copy_(torch.from_numpy(_quantiles(target[:, 0] - lines[0](seen), levels, weights[0])))
        self.line.weight.copy_(torch.from_numpy(np.stack([line.slopes for line in lines])))
        self.line.bias.copy_(torch.tensor([line.intercept for line in lines], dtype=torch.float64))
        if self.values is not None and self.hide is not None:
            self.values.weight.copy_(torch.from_numpy(np.stack([line.values for line in lines], 1)))
            codes = train[0][:, self.numbers :].long().flatten()
            count = torch.bincount(codes, minlength=self.values.num_embeddings)
            self.hide.chance.weight.copy_((_RARE / (_RARE + count))[:, None])

    def _lines(
        self, train: Rows, val: Rows | None, weights: tuple[np.ndarray | None, np.ndarray | None], wide: bool
    ) -> "tuple[list[RidgeLine], float]":
        """Ridge regression's line to each target, and the sum of their errors, which are encoded and thus alike."""
        from src.models.ridge import ridge  # whose library most runs do without

        entries = 0 if self.values is None else self.values.num_embeddings
        features, target = self._rows(train, wide)
        judging = val and self._rows(val, wide)
        found = [
            ridge((features, own, weights[0]), entries, judging and (judging[0], judging[1][:, place], weights[1]))
            for place, own in enumerate(target.T)
        ]
        return [line for line, _ in found], sum(error for _, error in found)

    def _ends(self) -> list[nn.Linear]:
        return [layer for layer in self.net.modules() if isinstance(layer, nn.Linear)]

    @staticmethod
    def _near(numbers: Tensor) -> Tensor:
        """Numbers as the net sees them."""
        return numbers / (1 + (numbers / CLIP).square()).sqrt()

    def _rows(self, rows: Rows, wide: bool) -> "tuple[Features, np.ndarray]":
        """What the lines see of rows, and the targets (rows, targets)."""
        features, target = rows
        numbers = features[:, : self.numbers].double()
        numbers = numbers if wide else self._near(numbers)
        return (numbers.numpy(), features[:, self.numbers :].long().numpy()), target.double().numpy()


def _quantiles(values: np.ndarray, levels: Sequence[float], weights: np.ndarray | None) -> np.ndarray:
    """Quantiles of values (rows,), between two by a straight line; with equal weights NumPy's own."""
    if weights is None:
        return np.quantile(values, levels)
    values, weights = values[weights > 0], weights[weights > 0]
    order = np.argsort(values)
    middle = weights[order].cumsum() - weights[order] / 2
    return np.interp(levels, (middle - middle[0]) / max(middle[-1] - middle[0], np.finfo(float).tiny), values[order])
