"""The rows that members are validated by, for one or many at a time."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from src.data.partition import Partition

_MOST, _FEWEST = 1 << 18, 64  # rows of all members together that are validated at a time; a lone run's are cut before


def validation_rows(parts: Sequence[Partition], device: torch.device) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Encoded validation rows a few thousand at a time: (rows, …) where all share them, else (members, rows, …).

    The last is which of them count, (members, rows), where members have different numbers.
    """
    if not len(parts[0].rows["val"]):
        return []
    at_once = max(_FEWEST, _MOST // len(parts))
    if all(part is parts[0] for part in parts):
        return [(f, t, None) for pair in parts[0].validation(device) for f, t in _cut(pair, at_once)]
    apart = {id(part): part.encoded("val") for part in parts}
    most = max(len(target) for _, target in apart.values())
    filled = {key: [_filled(part, most) for part in pair] for key, pair in apart.items()}
    features, target = (torch.stack([filled[id(part)][i] for part in parts]).to(device) for i in (0, 1))
    counts = torch.tensor([len(apart[id(part)][1]) for part in parts], device=device)
    if (counts == most).all():
        return [(f, t, None) for f, t in _cut((features, target), at_once)]
    mask = torch.arange(most, device=device) < counts[:, None]
    masks = mask.split(at_once, 1)
    return [(f, t, m) for (f, t), m in zip(_cut((features, target), at_once), masks, strict=True)]


def _cut(pair: tuple[Tensor, Tensor], rows: int) -> Iterable[tuple[Tensor, Tensor]]:
    return zip(pair[0].split(rows, -2), pair[1].split(rows, -2), strict=True)


def _filled(part: Tensor, rows: int) -> Tensor:
    return torch.cat([part, part.new_zeros(rows - len(part), part.shape[1])])
