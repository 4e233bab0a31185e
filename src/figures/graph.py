"""The graph that autograd walks, from the loss back to the parameters."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import Tensor

from src.figures.canvas import COLORS, as_text, canvas

_SWEEPS = 8  # passes that sort a layer by the places of its neighbours
_WIDE, _HIGH = 1.7, 0.75  # inches from node to node


@dataclass
class Graph:
    """Nodes, the loss first, and which leads to which.

    Args:
        labels: of the nodes: an operation, or a parameter's name and shape.
        leaves: the nodes that are parameters or constants.
        edges: (from, to), in the order of the computation: from an operation to the one that uses it.
    """

    labels: list[str] = field(default_factory=list)
    leaves: set[int] = field(default_factory=set)
    edges: list[tuple[int, int]] = field(default_factory=list)


def autograd_graph(loss: Tensor, parameters: dict[str, Tensor]) -> Graph:
    """The functions behind ``loss``; leaves are named after ``parameters``."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    graph = Graph(["loss"])
    numbers: dict[Any, int] = {}
    pending: list[tuple[Any, int]] = [(loss.grad_fn, 0)]
    while pending:
        function, user = pending.pop()
        if function is None:
            continue
        if function not in numbers:
            numbers[function] = len(graph.labels)
            leaf = getattr(function, "variable", None)
            if leaf is not None:
                graph.leaves.add(numbers[function])
                shape = "×".join(str(size) for size in leaf.shape) or "1"
                graph.labels.append(f"{names.get(id(leaf), 'tensor')} ({shape})")
            else:
                graph.labels.append(function.name().removesuffix("Backward0").removesuffix("Backward1"))
            pending += [(inner, numbers[function]) for inner, _ in function.next_functions]
        graph.edges.append((numbers[function], user))
    return graph


def layers(graph: Graph) -> list[list[int]]:
    """Nodes by their distance from the loss, the farthest way counting; within a layer near what they lead to.

    The layered drawing of Sugiyama, Tagawa and Toda (1981), without its nodes for edges that skip a layer.
    """
    depth = [0] * len(graph.labels)
    for _ in graph.labels:
        deeper = [(a, depth[b] + 1) for a, b in graph.edges if depth[a] <= depth[b]]
        if not deeper:
            break
        for node, value in deeper:
            depth[node] = max(depth[node], value)
    found: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    for node, value in enumerate(depth):
        found[value].append(node)
    neighbours: dict[int, list[int]] = {node: [] for node in range(len(depth))}
    for a, b in graph.edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    for sweep in range(_SWEEPS):
        place = {node: rank - len(layer) / 2 for layer in found for rank, node in enumerate(layer)}
        for layer in found if sweep % 2 == 0 else reversed(found):
            layer.sort(key=lambda node: float(np.mean([place[other] for other in neighbours[node] or [node]])))
            place |= {node: rank - len(layer) / 2 for rank, node in enumerate(layer)}
    return found


@as_text
def draw_graph(graph: Graph, path: Path) -> None:
    """Writes the graph as a picture, the loss at the top; its kind is the path's ending."""
    rows = layers(graph)
    most = max(len(row) for row in rows)
    figure, (axes,) = canvas(max(4.0, _WIDE * most), _HIGH * (len(rows) + 0.5))
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-most / 2, most / 2)
    axes.set_ylim(-len(rows) + 0.25, 0.75)
    places = {
        node: (rank - (len(row) - 1) / 2, -level) for level, row in enumerate(rows) for rank, node in enumerate(row)
    }
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = {}
    for node, label in enumerate(graph.labels):
        color = COLORS["train"] if node == 0 else "#CFE6F5" if node in graph.leaves else "white"
        style = f"{'round' if node in graph.leaves or not node else 'square'},pad=0.35"
        text = axes.text(*places[node], label, ha="center", va="center", fontsize=9 if most < 8 else 7)
        text.set(color="black" if node else "white", bbox={"boxstyle": style, "fc": color, "ec": "0.3", "lw": 0.8})
        text.update_bbox_position_size(renderer)
        boxes[node] = text.get_bbox_patch()
    for start, end in graph.edges:
        arrow = {"arrowstyle": "-|>", "color": "0.45", "lw": 0.9, "patchA": boxes[start], "patchB": boxes[end]}
        axes.annotate("", places[end], places[start], arrowprops=arrow | {"shrinkA": 0, "shrinkB": 1})
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(path)
