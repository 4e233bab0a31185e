"""The rows that members are validated by, for one or many at a time."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from src.data.partition import Partition

_MOST, _FEWEST = 1 << 18, 64  # rows of all members together that are validated at a time; a lone run's are cut before


def validation_rows(parts: Sequence[Partition], device: torch.device) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Encoded validation rows a few thousand at a time: (rows, …) where all share them, else (members, rows, …).

    The last is how much each counts, (rows,) or (members, rows), where rows are weighed or members have different
    numbers of them.
    """
    if not len(parts[0].rows["val"]):
        return []
    at_once = max(_FEWEST, _MOST // len(parts))
    if all(part is parts[0] for part in parts):
        return [each for rows in parts[0].validation(device) for each in _cut(*rows, at_once)]
    apart = {id(part): part.encoded("val") for part in parts}
    most = max(len(target) for _, target in apart.values())
    filled = {key: [_filled(part, most) for part in pair] for key, pair in apart.items()}
    features, target = (torch.stack([filled[id(part)][i] for part in parts]).to(device) for i in (0, 1))
    counts = torch.tensor([len(apart[id(part)][1]) for part in parts], device=device)
    weight = None if (counts == most).all() else torch.arange(most, device=device) < counts[:, None]
    if parts[0].weights("val") is not None:
        weight = torch.zeros(len(parts), most, dtype=torch.float64)
        for place, part in enumerate(parts):
            own = part.weights("val")
            assert own is not None
            weight[place, : len(own)] = torch.from_numpy(own)
        weight = weight.to(device)
    return list(_cut(features, target, weight, at_once))


def _cut(
    features: Tensor, target: Tensor, weight: Tensor | None, rows: int
) -> Iterable[tuple[Tensor, Tensor, Tensor | None]]:
    parts = features.split(rows, -2), target.split(rows, -2)
    weights = [None] * len(parts[0]) if weight is None else weight.split(rows, -1)
    return zip(*parts, weights, strict=True)


def _filled(part: Tensor, rows: int) -> Tensor:
    return torch.cat([part, part.new_zeros(rows - len(part), part.shape[1])])
