"""The weights of members as rows of one matrix: what optimizers, bounds on gradients and copies go over."""

from collections.abc import Mapping, Sequence

import torch
from torch import Size, Tensor, nn

Parts = Mapping[str, Tensor]  # the weights of one member by name


class Matrix:
    """Every parameter of every member in one matrix (members, columns), and layers' views of its columns.

    Args:
        members: the parts of each; equal ones may be one object. What a member lacks of the room is zero.
        shapes: the room for each part.
        holders: by name how many of the first members have it, where that is not all: its leaf holds only theirs.
    """

    def __init__(
        self, members: Sequence[Parts], shapes: Mapping[str, Size], holders: Mapping[str, int] | None = None
    ) -> None:
        self.shapes = shapes
        self._columns: dict[str, slice] = {}
        self._width = 0
        for name, shape in shapes.items():
            self._columns[name] = slice(self._width, self._width + shape.numel())
            self._width += shape.numel()
        rows = {id(parts): self.row(parts) for parts in members}
        self.leaves: dict[str, nn.Parameter] = {}
        self.replace(torch.stack([rows[id(parts)] for parts in members]), holders)

    def row(self, parts: Parts) -> Tensor:
        """A member's parts as a row (columns,)."""
        row = next(iter(parts.values())).new_zeros(self._width)
        for name, part in parts.items():
            row[self._columns[name]].view(self.shapes[name])[tuple(map(slice, part.shape))] = part.detach()
        return row

    def unflat(self, row: Tensor) -> dict[str, Tensor]:
        """A row (columns,) by name: copies, which drag no other member into a file."""
        return {name: row[columns].reshape(self.shapes[name]).clone() for name, columns in self._columns.items()}

    def replace(self, values: Tensor, holders: Mapping[str, int] | None = None) -> None:
        """Puts other rows in place: fewer members, or on another device."""
        self.values, self.gradient = values, torch.zeros_like(values)
        for name, columns in self._columns.items():
            count = (holders or {}).get(name, len(values))
            view, slope = (p[:count, columns].view(count, *self.shapes[name]) for p in (values, self.gradient))
            leaf = self.leaves.setdefault(name, nn.Parameter(view))
            leaf.grad = None
            leaf.data = view
            # Autograd adds to a gradient that is there, so that all of them lie in one matrix.
            leaf.grad = slope
