"""Room in one matrix for chains of different widths and depths.

A parameter goes by ``weight`` or ``bias`` and the number of its hidden layer, counted from the input; the output's have
no number, for they are the last of every chain, whatever its depth.
"""

from collections.abc import Mapping, Sequence

from torch import Size, Tensor, nn

from src.training.blocks import Block


def named(blocks: Sequence[Block]) -> dict[str, nn.Parameter]:
    """A chain's parameters by those names."""
    names = [*map(str, range(len(blocks) - 1)), ""]
    return {
        f"{kind}{name}": part
        for name, block in zip(names, blocks, strict=True)
        for kind, part in block.linear.named_parameters()
    }


def union(chains: Sequence[Mapping[str, Tensor]]) -> dict[str, tuple[int, ...]]:
    """By name the shape that has room for everybody's, in the order of a forward."""
    depth = max(sum(name.startswith("weight") for name in parts) for parts in chains) - 1
    names = [f"{kind}{level}" for level in [*range(depth), ""] for kind in ("weight", "bias")]
    found = {name: [parts[name].shape for parts in chains if name in parts] for name in names}
    shapes = {name: tuple(map(max, zip(*each, strict=True))) for name, each in found.items() if each}
    for level in range(depth):
        out, into = shapes[f"weight{level}"]
        # A layer sees the whole one before it, the widest of which may be somebody's last; the widest may have no bias.
        shapes[f"weight{level}"] = (out, shapes[f"weight{level - 1}"][0] if level else into)
        shapes |= {name: (out,) for name in [f"bias{level}"] if name in shapes}
    return shapes


def padded(parts: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], fill: float | None = None) -> nn.Module:
    """A chain's parameters, or a number in the place of each, in the shapes of all and with zeros around them."""
    room = nn.Module()
    for name, shape in shapes.items():
        whole = parts["weight"].new_zeros(shape)
        if name in parts:
            whole[tuple(map(slice, parts[name].shape))] = parts[name].detach() if fill is None else fill
        room.register_parameter(name, nn.Parameter(whole))
    return room


def own_keys(net: nn.Module, parts: Mapping[str, Tensor]) -> dict[str, tuple[str, Size]]:
    """Of each name in a net's ``state_dict``, in its order: the columns' name, and the shape there."""
    names = {id(part): name for name, part in parts.items()}
    return {name: (names[id(part)], part.shape) for name, part in net.state_dict(keep_vars=True).items()}
